// Stops, ends and sampling of one generation.
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/text.h"
#include "runner/engine/generation.h"
#include "runner/engine/sampler.h"
#include "tests/runner/engine_fixture.h"

namespace h1bench::engine {
namespace {

using h1bench::testing::ToyTokenizer;

/// Feeds ids as if the model had chosen them until the generation ends; returns how many it took.
std::size_t Feed(Generation& generation, const std::vector<std::int32_t>& ids) {
  std::size_t taken = 0;
  while (taken < ids.size() && !generation.done()) {
    RowResult row;
    row.argmax = ids[taken++];
    generation.Step(row, {});
  }
  return taken;
}

constexpr std::array<std::int32_t, 2> kEos = {1, 0};  // special tokens of the toy tokenizer

EngineRequest WithStops(const std::vector<std::string>& stops, std::int64_t limit = 1000) {
  EngineRequest request;
  request.stops = stops;
  request.max_new_tokens = limit;
  return request;
}

TEST(EngineGeneration, StopAcrossTokensEndsAtOnce) {
  const auto ids = ToyTokenizer()->Encode("The answer is 42.\n\nQuestion: next one");
  const EngineRequest request = WithStops({"\n\n", "Question:"});
  Generation generation(request, ToyTokenizer().get(), kEos);
  const std::size_t taken = Feed(generation, ids);
  EXPECT_EQ(generation.finish(), "stop");
  EXPECT_EQ(generation.Text(), "The answer is 42.");
  const auto fed = std::span(ids).first(taken);
  EXPECT_NE(ToyTokenizer()->Decode(fed).find("\n\n"), std::string::npos);
  EXPECT_EQ(ToyTokenizer()->Decode(fed.first(taken - 1)).find("\n\n"), std::string::npos);
}

/// Whatever the cut into tokens, a stop is found with the token that completes it.
TEST(EngineGeneration, EveryStopOfATextIsFound) {
  const std::string text =
      "naïve — 北京 🙂 f(x) = \"a\\b\"\n\ndef next():\n  pass # ünd Ω\n";
  const auto ids = ToyTokenizer()->Encode(text);
  for (std::size_t begin = 1; begin < text.size(); ++begin) {
    for (const std::size_t length : {1, 2, 5, 11}) {
      const std::string stop = text.substr(begin, length);
      if (!IsValidUtf8(stop)) continue;
      const EngineRequest request = WithStops({stop});
      Generation generation(request, ToyTokenizer().get(), kEos);
      Feed(generation, ids);
      EXPECT_EQ(generation.finish(), "stop") << stop;
      EXPECT_EQ(generation.Text(), text.substr(0, text.find(stop)));
    }
  }
}

TEST(EngineGeneration, HalfACharacterIsNoStop) {
  // The bytes of a character arrive token by token: U+FFFD of the unfinished ones must not match.
  const auto ids = ToyTokenizer()->Encode("a🙂b");
  ASSERT_GT(ids.size(), 3U);  // the emoji takes several tokens of this tokenizer
  const EngineRequest request = WithStops({"🙂"});
  Generation generation(request, ToyTokenizer().get(), kEos);
  EXPECT_EQ(Feed(generation, ids), ids.size() - 1);
  EXPECT_EQ(generation.Text(), "a");
}

TEST(EngineGeneration, StopsAreCutInTheirOrder) {
  EXPECT_EQ(CutAtStops("one two three", {"three", "two"}), "one ");
  EXPECT_EQ(CutAtStops("ab", {"b", "ab"}), "a");  // as split(s)[0] one after the other
  EXPECT_EQ(CutAtStops("ab", {"ab", "b"}), "");
  EXPECT_EQ(CutAtStops("ab", {"", "c"}), "ab");
  EXPECT_EQ(CutAtStops("ab", {"ab"}), "");
}

TEST(EngineGeneration, EosEndsAndLeavesNoText) {
  auto ids = ToyTokenizer()->Encode("yes");
  ids.push_back(kEos[1]);
  ids.push_back(ids.front());
  const EngineRequest request = WithStops({"never"});
  Generation generation(request, ToyTokenizer().get(), kEos);
  EXPECT_EQ(Feed(generation, ids), ids.size() - 1);
  EXPECT_EQ(generation.finish(), "eos");
  EXPECT_EQ(generation.Text(), "yes");
  EngineRequest on = request;
  on.ignore_eos = true;
  Generation goes_on(on, ToyTokenizer().get(), kEos);
  EXPECT_EQ(Feed(goes_on, ids), ids.size());
  EXPECT_FALSE(goes_on.done());
}

TEST(EngineGeneration, LimitCountsTokens) {
  const auto ids = ToyTokenizer()->Encode("one two three four five six");
  const EngineRequest request = WithStops({}, 3);
  Generation generation(request, ToyTokenizer().get(), kEos);
  EXPECT_EQ(Feed(generation, ids), 3U);
  EXPECT_EQ(generation.finish(), "length");
  EXPECT_EQ(generation.Text(), ToyTokenizer()->Decode(std::span(ids).first(3)));
}

TEST(EngineGeneration, AStopWithTheLastTokenIsAStop) {
  const auto ids = ToyTokenizer()->Encode("ok\n");
  const EngineRequest request = WithStops({"\n"}, static_cast<std::int64_t>(ids.size()));
  Generation generation(request, ToyTokenizer().get(), kEos);
  Feed(generation, ids);
  EXPECT_EQ(generation.finish(), "stop");
}

TEST(EngineSampler, DrawsAreFixedForEver) {
  // SHA-256 of (length of key, key, step): python3 -c 'import hashlib,struct;
  // print(int.from_bytes(hashlib.sha256(struct.pack("<Q",3)+b"key"+struct.pack("<q",N)).digest()[:8],"big")>>11)'
  EXPECT_EQ(UniformDraw("key", 0), 747106956366413.0 * 0x1p-53);
  EXPECT_EQ(UniformDraw("key", 7), 3448988301424394.0 * 0x1p-53);
  EXPECT_NE(UniformDraw("key2", 0), UniformDraw("key", 0));
  double sum = 0, squares = 0;
  for (int step = 0; step < 20000; ++step) {
    const double u = UniformDraw("uniform", step);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / 20000, 0.5, 0.01);
  EXPECT_NEAR(squares / 20000, 1.0 / 3, 0.01);
}

TEST(EngineSampler, FrequenciesFollowTheDistribution) {
  const std::vector<float> logits = {0, 1, -1, 3, 2};
  for (const double temperature : {0.5, 1.0, 2.0})
    for (const double top_p : {1.0, 0.8}) {
      std::vector<double> expected;
      double total = 0;
      for (const float logit : logits) total += std::exp(static_cast<double>(logit) / temperature);
      for (const float logit : logits)
        expected.push_back(std::exp(static_cast<double>(logit) / temperature) / total);
      if (top_p < 1) {  // most probable first: 3, 4, 1, 0, 2
        double mass = 0, kept = 0;
        std::vector<bool> in(5, false);
        for (const std::size_t id : {3U, 4U, 1U, 0U, 2U}) {
          if (mass >= top_p) break;
          mass += expected[id];
          in[id] = true;
          kept += expected[id];
        }
        for (std::size_t id = 0; id < 5; ++id) expected[id] = in[id] ? expected[id] / kept : 0;
      }
      std::vector<int> seen(5, 0);
      const int draws = 20000;
      for (int i = 0; i < draws; ++i)
        ++seen[static_cast<std::size_t>(Sample(logits, temperature, top_p, (i + 0.5) / draws))];
      for (std::size_t id = 0; id < 5; ++id)
        EXPECT_NEAR(seen[id] / static_cast<double>(draws), expected[id], 1e-4)
            << temperature << " " << top_p << " " << id;
    }
}

TEST(EngineSampler, EdgesOfTheDraw) {
  const std::vector<float> logits = {1, 5, 5, -1000};
  EXPECT_EQ(Sample(logits, 1, 1, 0), 1);  // equal logits: the smaller id first
  EXPECT_EQ(Sample(logits, 1, 0.01, 0.999999), 1);
  EXPECT_EQ(Sample(logits, 1e-3, 1, 0.9), 2);
  EXPECT_EQ(Sample(logits, 1, 1, 1 - 0x1p-53), 0);  // never an id of no weight
  EXPECT_EQ(Sample(std::vector<float>{7}, 1, 0.5, 0.3), 0);
}

}  // namespace
}  // namespace h1bench::engine

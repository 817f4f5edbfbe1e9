// Text to ids as lm-eval does it.
#include <gtest/gtest.h>

#include "runner/engine/prepare.h"
#include "tests/runner/engine_fixture.h"

namespace h1bench::engine {
namespace {

using h1bench::testing::ToyTokenizer;

constexpr std::int32_t kBos = 2;  // of the toy tokenizer

Rules ToyRules(std::int64_t max_length = 1000) {
  Rules rules;
  rules.tokenizer = ToyTokenizer().get();
  rules.max_length = max_length;
  rules.vocab = ToyTokenizer()->vocab_size();
  rules.bos_id = kBos;
  rules.prefix_id = kBos;
  return rules;
}

EngineRequest Scoring(const std::string& context, const std::vector<std::string>& continuations) {
  EngineRequest request;
  request.context = context;
  request.continuations = continuations;
  return request;
}

Ids Join(const Ids& a, const Ids& b) {
  Ids out = a;
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

/// (context, continuation) of a prepared sequence.
std::pair<Ids, Ids> Split(const Sequence& sequence) {
  const std::size_t cut = sequence.input.size() + 1 - sequence.targets.size();
  return {Ids(sequence.input.begin(), sequence.input.begin() + static_cast<std::ptrdiff_t>(cut)),
          sequence.targets};
}

TEST(EnginePrepare, ContinuationIsWhatJointTokenisationAppends) {
  const std::string context = "Question: what is two and two?\nAnswer:";
  const Prepared prepared = Prepare(Scoring(context, {" four", " eleven pieces"}), ToyRules());
  ASSERT_TRUE(prepared.status.ok()) << prepared.status.message();
  const Ids head = ToyTokenizer()->Encode(context);
  ASSERT_EQ(prepared.sequences.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const Ids whole = ToyTokenizer()->Encode(context + (i == 0 ? " four" : " eleven pieces"));
    const auto [ids, targets] = Split(prepared.sequences[i]);
    EXPECT_EQ(ids, head);
    EXPECT_EQ(Join(ids, targets), whole);
  }
  EXPECT_EQ(prepared.prompt_tokens, static_cast<std::int64_t>(head.size()));
  EXPECT_EQ(prepared.truncated_tokens, 0);
}

/// Encoding the continuation alone is the mistake the rule guards against: here the two differ.
TEST(EnginePrepare, WhiteSpaceMovesToTheContinuation) {
  const Prepared spaced = Prepare(Scoring("The answer is \n\t ", {"B"}), ToyRules());
  ASSERT_TRUE(spaced.status.ok());
  const auto [context, continuation] = Split(spaced.sequences[0]);
  EXPECT_EQ(context, ToyTokenizer()->Encode("The answer is"));
  EXPECT_EQ(ToyTokenizer()->Decode(continuation), " \n\t B");
  const Prepared moved = Prepare(Scoring("The answer is", {" \n\t B"}), ToyRules());
  EXPECT_EQ(moved.sequences[0].input, spaced.sequences[0].input);
  const Prepared one = Prepare(Scoring("The answer is ", {"the"}), ToyRules());
  EXPECT_NE(Split(one.sequences[0]).second, ToyTokenizer()->Encode("the"));
}

TEST(EnginePrepare, TrailingWhitespaceIsPythons) {
  EXPECT_EQ(TrailingWhitespace("a"), 0U);
  EXPECT_EQ(TrailingWhitespace(""), 0U);
  EXPECT_EQ(TrailingWhitespace("a \n\r\t\v\f"), 6U);
  EXPECT_EQ(TrailingWhitespace("a\x1c\x1d\x1e\x1f"), 4U);
  EXPECT_EQ(TrailingWhitespace("a\u0085\u00a0\u2028\u3000"), 10U);
  EXPECT_EQ(TrailingWhitespace("a\u200b"), 0U);  // zero width space is none
  EXPECT_EQ(TrailingWhitespace("a\u1680\u180e"), 0U);
  EXPECT_EQ(TrailingWhitespace("\u200a \u205f"), 7U);
}

TEST(EnginePrepare, ScoringKeepsTheLastTokens) {
  EngineRequest request;
  for (std::int32_t i = 0; i < 20; ++i) request.context_ids.push_back(i);
  request.continuation_ids = {{100}, {101, 102, 103}};
  Prepared prepared = Prepare(request, ToyRules(20));
  EXPECT_EQ(prepared.sequences[0].input.size(), 20U);  // all: the last token is not fed
  EXPECT_EQ(prepared.truncated_tokens, 0);
  EXPECT_EQ(prepared.sequences[1].input.size(), 20U);  // two of the context give way
  EXPECT_EQ(prepared.sequences[1].input.front(), 2);
  EXPECT_EQ(prepared.sequences[1].input.back(), 102);
  prepared = Prepare(request, ToyRules(10));
  EXPECT_EQ(prepared.truncated_tokens, 10);
  EXPECT_EQ(prepared.prompt_tokens, 10);
  EXPECT_EQ(prepared.sequences[0].input, (Ids{10, 11, 12, 13, 14, 15, 16, 17, 18, 19}));
  prepared = Prepare(request, ToyRules(3));
  EXPECT_EQ(prepared.sequences[1].input, (Ids{19, 101, 102}));
  EXPECT_EQ(Prepare(request, ToyRules(2)).status.code(), StatusCode::kInvalidArgument);
}

TEST(EnginePrepare, GenerationLeavesRoomForTheAnswer) {
  EngineRequest request;
  for (std::int32_t i = 0; i < 20; ++i) request.context_ids.push_back(i);
  request.max_new_tokens = 6;
  Prepared prepared = Prepare(request, ToyRules(26));
  EXPECT_EQ(prepared.truncated_tokens, 0);
  prepared = Prepare(request, ToyRules(16));
  EXPECT_EQ(prepared.truncated_tokens, 10);
  EXPECT_EQ(prepared.sequences[0].input.front(), 10);
  EXPECT_EQ(prepared.sequences[0].new_tokens, 6);
  EXPECT_EQ(Prepare(request, ToyRules(6)).status.code(), StatusCode::kInvalidArgument);
}

TEST(EnginePrepare, EmptyContextIsOnePrefixToken) {
  for (const char* context : {"", " ", "\n"}) {
    const Prepared prepared = Prepare(Scoring(context, {"four"}), ToyRules());
    ASSERT_TRUE(prepared.status.ok());
    const auto [ids, targets] = Split(prepared.sequences[0]);
    EXPECT_EQ(ids, Ids{kBos});
    EXPECT_EQ(targets, ToyTokenizer()->Encode(std::string(context) + "four"));
  }
  EXPECT_EQ(Prepare(EngineRequest{}, ToyRules()).sequences.at(0).input, Ids{kBos});
  Rules bare = ToyRules();
  bare.prefix_id.reset();
  EXPECT_FALSE(Prepare(Scoring("", {"four"}), bare).status.ok());
  EXPECT_FALSE(Prepare(EngineRequest{}, bare).status.ok());
}

TEST(EnginePrepare, BosOnlyWhenAskedAndNeverTwice) {
  Rules rules = ToyRules();
  const Ids plain = ToyTokenizer()->Encode("The answer");
  EXPECT_EQ(Split(Prepare(Scoring("The answer", {" B"}), rules).sequences[0]).first, plain);
  const Ids with_bos = Join({kBos}, plain);
  EngineRequest scoring = Scoring("The answer", {" B"});
  scoring.add_bos = true;
  const Prepared prepared = Prepare(scoring, rules);
  EXPECT_EQ(Split(prepared.sequences[0]).first, with_bos);
  EXPECT_EQ(Split(prepared.sequences[0]).second.size(),
            ToyTokenizer()->Encode("The answer B").size() - plain.size());
  EngineRequest generation;
  generation.add_bos = true;
  generation.context = ToyTokenizer()->Decode(Ids{kBos}) + "The answer";
  EXPECT_EQ(Prepare(generation, rules).sequences[0].input, with_bos);
  generation.context = "The answer";
  EXPECT_EQ(Prepare(generation, rules).sequences[0].input, with_bos);
  rules.bos_id.reset();
  EXPECT_FALSE(Prepare(generation, rules).status.ok());
}

TEST(EnginePrepare, WhatCannotBeAnsweredIsRefused) {
  const auto refused = [](const EngineRequest& request) {
    return Prepare(request, ToyRules()).status.code() == StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused(Scoring("The answer", {""})));  // no token of its own
  EngineRequest request;
  request.context_ids = {1, 2, 100000};
  EXPECT_TRUE(refused(request));
  request.context_ids = {1, -2};
  EXPECT_TRUE(refused(request));
  request.context_ids = {1, 2};
  EXPECT_FALSE(refused(request));
  request.temperature = 1;
  EXPECT_TRUE(refused(request));  // no sampling key
  request.sampling_key = "key";
  EXPECT_FALSE(refused(request));
  request.top_p = 0;
  EXPECT_TRUE(refused(request));
  request.top_p = 1;
  request.max_new_tokens = 0;
  EXPECT_TRUE(refused(request));
  Rules rules = ToyRules();
  rules.tokenizer = nullptr;
  EXPECT_FALSE(Prepare(Scoring("text", {" B"}), rules).status.ok());
}

}  // namespace
}  // namespace h1bench::engine

// Floors on speed, wide enough for a busy machine: >= 1 MB/s of English on one core, and no
// quadratic word.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <functional>

#include "base/file.h"
#include "runner/tokenizer/tokenizer.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

double SecondsOf(const std::function<void()>& work) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

TEST(SlowTokenizerSpeed, AMegabyteASecond) {
  H1_NEED_SHARED();
  const auto text = ReadFile(testing::SharedDir() / "data/gsm8k/test.jsonl");
  ASSERT_TRUE(text.ok());
  for (const char* name : {"gpt2", "dolma2"}) {
    const auto path = testing::SharedDir() / "data/tokenizers" / name;
    const double load = SecondsOf([&] { EXPECT_TRUE(Tokenizer::Open(path).ok()); });
    const auto tokenizer = Tokenizer::Open(path);
    ASSERT_TRUE(tokenizer.ok());
    const double encode = SecondsOf([&] { EXPECT_GT(tokenizer->Encode(*text).size(), 100000U); });
    const double speed = static_cast<double>(text->size()) / encode / 1e6;
    std::printf("%s: load %.3f s, %.2f MB/s\n", name, load, speed);
// A sanitizer's checks take most of the time (0.6 MB/s).
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_GE(speed, 1.0) << name;
    EXPECT_LT(load, 1.0) << name;
#endif
  }
}

TEST(SlowTokenizerSpeed, AWordOfAMegabyteIsNotQuadratic) {
  const auto tokenizer = Tokenizer::Open(testing::GoldensDir() / "tokenizer/added-tokens.json");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const auto time = [&](const std::string& unit, std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += unit;
    return SecondsOf([&] { tokenizer->Encode(text); });
  };
  for (const char* unit : {"a", "thequickbrownfox", "1", "\xC3\xA9"}) {
    const double small = time(unit, 125'000);
    const double large = time(unit, 1'000'000);
    EXPECT_LT(large, 40 * small + 0.05) << unit;  // eight times the text: linear is 8, quadratic 64
  }
}

}  // namespace
}  // namespace h1bench

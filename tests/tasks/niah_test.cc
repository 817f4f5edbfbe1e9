#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/task.h"

namespace h1bench::tasks {
namespace {

constexpr std::string_view kNeedleStart = "One of the special magic numbers for ";

std::int64_t Words(std::string_view text) {
  std::int64_t count = 0;
  bool inside = false;
  for (const char c : text) {
    const bool letter = c != ' ' && c != '\n';
    count += letter && !inside ? 1 : 0;
    inside = letter;
  }
  return count;
}

TaskOptions Options(std::vector<std::int64_t> lengths, std::vector<double> depths) {
  TaskOptions options;
  options.lengths = std::move(lengths);
  options.depths = std::move(depths);
  options.samples = 3;
  options.max_new_tokens = 16;
  options.count_tokens = Words;
  return options;
}

std::unique_ptr<Task> Load(const TaskOptions& options) {
  auto task = LoadTask("niah", options);
  EXPECT_TRUE(task.ok()) << task.status().message();
  return task.ok() ? std::move(*task) : nullptr;
}

std::string Refusal(const TaskOptions& options) {
  const auto task = LoadTask("niah", options);
  EXPECT_FALSE(task.ok());
  return task.ok() ? "" : task.status().message();
}

std::string Prompt(const Task& task, std::size_t document) {
  return task.BuildRequest(task.documents()[document]).context;
}

/// What lies between the first line and the question.
std::string Haystack(const std::string& prompt) {
  const std::size_t begin = prompt.find('\n') + 1;
  return prompt.substr(begin, prompt.rfind("\nWhat is") - begin);
}

TEST(Niah, PromptAndAnswerFillTheLength) {
  const auto task = Load(Options({200, 1000}, {0, 33, 100}));
  ASSERT_EQ(task->documents().size(), 2U * 3 * 3);
  for (const Document& document : task->documents()) {
    const Request request = task->BuildRequest(document);
    const std::int64_t length = document.data.Find("length")->as_int();
    const std::int64_t used = Words(request.context) + request.max_new_tokens;
    EXPECT_LE(used, length);
    EXPECT_GT(used, length - 15);  // one more sentence (at most 11 words) would not fit
    EXPECT_EQ(request.max_new_tokens, 16);
    EXPECT_EQ(request.stops, std::vector<std::string>{"\n"});
    // The number stands once in the text and not in the question.
    const std::size_t place = request.context.find(document.gold);
    ASSERT_NE(place, std::string::npos);
    EXPECT_EQ(request.context.find(document.gold, place + 1), std::string::npos);
  }
}

TEST(Niah, DepthPlacesTheNeedle) {
  const auto task = Load(Options({600}, {0, 50, 100}));
  std::vector<std::string> sentences;
  for (std::size_t cell = 0; cell < 3; ++cell) {
    const std::string hay = Haystack(Prompt(*task, cell * 3));
    EXPECT_EQ(hay.find("  "), std::string::npos) << hay;
    EXPECT_FALSE(hay.starts_with(' ') || hay.ends_with(' ')) << hay;
    const std::size_t place = hay.find(kNeedleStart);
    ASSERT_NE(place, std::string::npos);
    const std::string after = hay.substr(hay.find('.', place) + 1);
    const auto before_words = static_cast<double>(Words(hay.substr(0, place)));
    const double share = before_words / (before_words + static_cast<double>(Words(after)));
    if (cell == 0) {
      EXPECT_EQ(place, 0U);
    }
    if (cell == 1) {
      EXPECT_NEAR(share, 0.5, 0.03);
    }
    if (cell == 2) {
      EXPECT_EQ(after, "");
    }
  }
  EXPECT_EQ(task->documents()[3].subset, "600/50");
}

TEST(Niah, FunctionOfSeedLengthDepthAndIndex) {
  const auto all = Load(Options({300, 600}, {0, 50}));
  // One cell alone has the prompts that it has in the whole grid.
  const auto cell = Load(Options({600}, {50}));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(Prompt(*cell, i), Prompt(*all, 9 + i));
  TaskOptions more = Options({600}, {50});
  more.samples = 5;
  EXPECT_EQ(Prompt(*Load(more), 2), Prompt(*cell, 2));

  std::set<std::string> golds;
  for (const Document& document : all->documents()) {
    EXPECT_EQ(document.gold.size(), 7U);
    golds.insert(document.gold);
  }
  EXPECT_EQ(golds.size(), all->documents().size());
  TaskOptions other = Options({600}, {50});
  other.seed = 1235;
  EXPECT_NE(Load(other)->documents()[0].gold, cell->documents()[0].gold);
}

TEST(Niah, Scores) {
  const auto task = Load(Options({300}, {50}));
  const Document& document = task->documents()[0];
  const auto score = [&](const std::string& text) {
    return task->ScoreResponse(document, {text, {}, {}}, nullptr);
  };
  EXPECT_EQ(score(" " + document.gold + ".").scores[0].second, 1);
  EXPECT_EQ(score(" " + document.gold + ".").extracted, document.gold);
  EXPECT_EQ(score(" 0000000.").scores[0].second, 0);
  EXPECT_EQ(score(" 0000000.").extracted, "0000000");
  EXPECT_EQ(score("").scores[0].second, 0);
  EXPECT_EQ(score(document.gold.substr(0, 6)).scores[0].second, 0);
}

TEST(Niah, WhatAModelCannotHoldIsNotDrawn) {
  TaskOptions options = Options({300, 200}, {50});
  options.max_length = 200;
  const auto task = Load(options);
  ASSERT_EQ(task->documents().size(), 3U);
  for (const Document& document : task->documents()) EXPECT_EQ(document.fills_tokens, 200);
  EXPECT_EQ(WriteJson(*task->Describe().Find("grid")->Find("lengths")), "[300,200]");
  options.max_length = 199;
  EXPECT_TRUE(Load(options)->documents().empty());
}

TEST(Niah, RefusesWhatCannotBe) {
  TaskOptions options = Options({300}, {50});
  options.count_tokens = nullptr;
  EXPECT_NE(Refusal(options).find("--model"), std::string::npos);
  const std::string few = Refusal(Options({40}, {50}));
  EXPECT_NE(few.find("40 tokens are too few"), std::string::npos);
  // The length that it names is enough.
  const std::int64_t least = std::stoll(few.substr(few.find("Use ") + 4));
  EXPECT_TRUE(LoadTask("niah", Options({least}, {50})).ok()) << least;
  EXPECT_FALSE(LoadTask("niah", Options({least - 1}, {50})).ok());

  for (const double depth : {-1.0, 100.5, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_NE(Refusal(Options({300}, {depth})).find("depths: expected 0 to 100"),
              std::string::npos);
  EXPECT_NE(Refusal(Options({std::int64_t{1} << 40}, {50})).find("lengths: expected 1 to"),
            std::string::npos);
  EXPECT_NE(Refusal(Options({300, 300}, {50})).find("twice"), std::string::npos);
  EXPECT_NE(Refusal(Options({300}, {50, 20, 50})).find("twice"), std::string::npos);
  options = Options({300}, {50});
  options.samples = 0;
  EXPECT_NE(Refusal(options).find("samples: expected 1 to 1000"), std::string::npos);
}

}  // namespace
}  // namespace h1bench::tasks

#include "tasks/options.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "tasks/task.h"
#include "tests/paths.h"

namespace h1bench::tasks {
namespace {

TaskOptions Demo() {
  TaskOptions options;
  options.data = h1bench::testing::SourceDir() / "demo/data";
  return options;
}

/// The message of a refusal, which must be about the user's input.
std::string Refusal(const std::string& name, const TaskOptions& options) {
  const auto task = LoadTask(name, options);
  EXPECT_FALSE(task.ok()) << name << " was accepted";
  if (task.ok()) return "";
  EXPECT_EQ(task.status().code(), StatusCode::kInvalidArgument) << task.status().message();
  return task.status().message();
}

void ExpectPart(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "\"" << text << "\" lacks \"" << part << "\"";
}

TEST(TaskOptions, NamesGetADidYouMean) {
  ExpectPart(Refusal("gsm9k", Demo()), "Did you mean \"gsm8k\"?");
  TaskOptions options = Demo();
  options.subjects = {"anatomi"};
  ExpectPart(Refusal("mmlu", options), "unknown subject \"anatomi\". Did you mean \"anatomy\"?");
  const std::vector<std::string> names = TaskNames();
  EXPECT_EQ(names, (std::vector<std::string>{"gsm8k", "gsm8k_cot", "helmet", "humaneval",
                                             "humaneval_instruct", "humanevalplus",
                                             "humanevalplus_chat", "mmlu", "niah", "ruler"}));
  for (const std::string& name : names) EXPECT_NE(TaskSummary(name), "");
}

TEST(TaskOptions, ShotsHaveARange) {
  TaskOptions options = Demo();
  options.subjects = {"anatomy"};
  for (const std::int64_t shots : {-2, 6}) {
    options.shots = shots;
    ExpectPart(Refusal("mmlu", options), fmt::format("shots: expected 0 to 5, found {}", shots));
  }
  options = Demo();
  options.shots = 9;
  ExpectPart(Refusal("gsm8k_cot", options), "shots: expected 0 to 8, found 9");
  options.shots = 101;
  ExpectPart(Refusal("gsm8k", options), "shots: expected 0 to 100, found 101");
  options.shots = 61;  // the demo has 60 rows to draw from
  ExpectPart(Refusal("gsm8k", options), "train.jsonl has 60 rows");
}

TEST(TaskOptions, SamplingMustMakeSense) {
  TaskOptions options = Demo();
  options.repeats = 4;
  ExpectPart(Refusal("humaneval", options), "Set a temperature");
  options.temperature = 0.2;
  EXPECT_TRUE(LoadTask("humaneval", options).ok());
  options.repeats = 1001;
  ExpectPart(Refusal("humaneval", options), "repeats: expected 1 to 1000");
  options.repeats = 1;
  options.top_p = 0;
  ExpectPart(Refusal("gsm8k", options), "top_p");
  options.top_p = 1;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double bad : {-0.5, nan, std::numeric_limits<double>::infinity()}) {
    options.temperature = bad;
    ExpectPart(Refusal("gsm8k", options), "temperature");
  }
}

TEST(TaskOptions, SamplingReachesTheRequest) {
  TaskOptions options = Demo();
  options.temperature = 0.2;
  options.top_p = 0.95;
  options.max_new_tokens = 77;
  for (const char* name : {"gsm8k", "gsm8k_cot", "humaneval", "humaneval_instruct"}) {
    const auto task = LoadTask(name, options);
    ASSERT_TRUE(task.ok()) << task.status().message();
    const Request request = (*task)->BuildRequest((*task)->documents()[0]);
    EXPECT_EQ(request.temperature, 0.2);
    EXPECT_EQ(request.top_p, 0.95);
    EXPECT_EQ(request.max_new_tokens, 77);
  }
}

TEST(TaskOptions, OptionsThatDoNotApplyAreRefused) {
  TaskOptions options = Demo();
  options.shots = 0;
  ExpectPart(Refusal("humaneval", options), "the option shots does not apply. It takes: limit");
  options = Demo();
  options.temperature = 1;
  ExpectPart(Refusal("mmlu", options), "temperature does not apply");
  options = Demo();
  options.subjects = {"anatomy"};
  ExpectPart(Refusal("gsm8k", options), "subjects does not apply");
  options = Demo();
  options.lengths = {1024};
  ExpectPart(Refusal("gsm8k", options), "lengths does not apply");
}

TEST(TaskOptions, CountsMustBePositive) {
  for (const char* name : {"gsm8k", "humaneval", "mmlu"}) {
    TaskOptions options = Demo();
    if (std::string(name) == "mmlu") options.subjects = {"anatomy"};
    for (const std::int64_t limit : {0, -5}) {
      options.limit = limit;
      ExpectPart(Refusal(name, options), "limit: expected 1 or more");
    }
  }
  TaskOptions options = Demo();
  options.fewshot_world_size = 0;
  ExpectPart(Refusal("gsm8k", options), "fewshot_world_size: expected 1 or more");
  options.fewshot_world_size = 1;
  options.max_new_tokens = 0;
  ExpectPart(Refusal("gsm8k", options), "max_new_tokens: expected 1 to");
}

TEST(TaskOptions, DescribeTellsWhatAReportNeeds) {
  for (const std::string& name : TaskNames()) {
    TaskOptions options = Demo();
    if (name == "mmlu") options.subjects = {"anatomy"};
    if (name == "ruler") continue;  // its sources are not in the demo: ruler_test.cc
    if (name == "niah") {
      options.lengths = {2000};
      options.samples = 1;
      options.count_tokens = [](std::string_view text) {
        return static_cast<std::int64_t>(text.size());
      };
    }
    if (name == "helmet") {
      options.data = h1bench::testing::GoldensDir() / "helmet/data";
      options.lengths = {8192};
      options.subjects = {"json_kv"};
      options.count_tokens = [](std::string_view) { return std::int64_t{1}; };
      options.cut_tokens = [](std::string_view text, std::int64_t) { return text.size(); };
    }
    const auto task = LoadTask(name, options);
    ASSERT_TRUE(task.ok()) << task.status().message();
    const Json description = (*task)->Describe();
    for (const char* key : {"kind", "shots", "primary", "metrics", "chance", "groups", "headline",
                            "version", "protocol"})
      EXPECT_NE(description.Find(key), nullptr) << name << " " << key;
    EXPECT_EQ((*task)->data_digest().size(), 64U);
    EXPECT_EQ((*task)->needs_judge(), name.starts_with("humaneval"));
    EXPECT_EQ(description.Find("code") != nullptr, (*task)->needs_judge()) << name;
    // The primary metric is one that scoring gives.
    Response response;
    if (name == "mmlu") response.loglikelihoods = {-1, -2, -3, -4};
    const Score score = (*task)->ScoreResponse((*task)->documents()[0], response, nullptr);
    EXPECT_EQ(score.scores[0].first, description.Find("primary")->as_string());
  }
}

}  // namespace
}  // namespace h1bench::tasks

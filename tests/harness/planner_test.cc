// A suite turned into samples.
#include "harness/coordinator/planner.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/sha256.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

/// Every folder is one model with 2048 positions and a token for every four bytes.
class OneModel final : public ModelSource {
 public:
  Result<ModelFacts> Read(const std::filesystem::path&) override {
    ModelFacts facts;
    facts.digest = "digest";
    facts.max_length = 2048;
    facts.count_tokens = [](std::string_view text) {
      return static_cast<std::int64_t>(text.size() / 4 + 1);
    };
    return facts;
  }
  std::string Identity() override { return "engine"; }
};

Plan PlanOf(const std::string& text) {
  const auto suite = ParseSuite(text, "/suite.yaml");
  EXPECT_TRUE(suite.ok()) << suite.status().message();
  OneModel models;
  PlanOptions options;
  options.suite_path = "/suite.yaml";
  options.data = testing::SourceDir() / "demo/data";
  auto plan = MakePlan(*suite, models, options);
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  return std::move(plan).value();
}

// A prompt would be there once for every variant and repeat: gigabytes at 128K.
TEST(Planner, SamplesDoNotHoldTheirPrompts) {
  Plan plan = PlanOf(
      "models: [{path: /a, precisions: [bf16, fp32]}, {path: /b}]\n"
      "tasks: [{task: gsm8k, limit: 3, temperature: 0.5, repeats: 2}, {task: humaneval}]\n");
  ASSERT_EQ(plan.samples.size(), 3U * (3 * 2 + 22));
  std::set<std::string> prompts;
  for (const SampleRow& sample : plan.samples) {
    EXPECT_TRUE(sample.prompt.empty());
    const auto prompt = plan.Prompt(sample);
    ASSERT_TRUE(prompt.ok()) << prompt.status().message();
    EXPECT_EQ(Sha256Hex(*prompt), sample.prompt_sha256);
    prompts.insert(*prompt);
  }
  EXPECT_EQ(prompts.size(), 3U + 22);
  SampleRow foreign = plan.samples[0];
  foreign.index = 1'000'000;
  EXPECT_EQ(plan.Prompt(foreign).status().code(), StatusCode::kInternal);

  // They reach the database, each once.
  std::string pattern = (std::filesystem::temp_directory_path() / "h1bench-plan-XXXXXX").string();
  const std::filesystem::path folder = mkdtemp(pattern.data());
  auto store = Store::Open(folder / "a.db", Store::Mode::kReadWrite);
  ASSERT_TRUE(store.ok()) << store.status().message();
  TaskSet tasks;
  const auto run = StorePlan(**store, plan, tasks);
  ASSERT_TRUE(run.ok()) << run.status().message();
  const auto pending = (*store)->PendingSamples(*run);
  ASSERT_EQ(pending->size(), plan.samples.size());
  for (const SampleRow& sample : *pending)
    EXPECT_EQ(Sha256Hex((*store)->GetSample(sample.id)->prompt), sample.prompt_sha256);
  std::filesystem::remove_all(folder);
}

TEST(Planner, ARefusalNamesFileLineAndTaskOnce) {
  const auto refusal = [](const std::string& task) {
    const auto suite = ParseSuite("models: [{path: /a}]\ntasks:\n  - " + task + "\n", "/s.yaml");
    EXPECT_TRUE(suite.ok()) << suite.status().message();
    OneModel models;
    PlanOptions options;
    options.suite_path = "/s.yaml";
    return MakePlan(*suite, models, options).status().message();
  };
  const std::string few = "niah: lengths: 40 tokens are too few for the question";
  EXPECT_TRUE(refusal("{task: niah, lengths: [40]}").starts_with("/s.yaml:3: task " + few))
      << refusal("{task: niah, lengths: [40]}");
  EXPECT_TRUE(refusal("{task: niah, name: needles, lengths: [40]}")
                  .starts_with("/s.yaml:3: task needles: task " + few));
  EXPECT_TRUE(refusal("{task: niah, chat: single}")
                  .starts_with("/s.yaml:3: task niah: chat: single: no chat template is known"));
}

// One folder under two limits: each variant has the lengths that it holds.
TEST(Planner, LengthsBeyondAVariantsLimitAreNotDrawn) {
  const Plan plan = PlanOf(
      "models: [{name: short, path: /a, max_length: 256}, {name: long, path: /a}]\n"
      "tasks: [{task: niah, lengths: [256, 512, 4096], depths: [50], samples: 1}]\n");
  std::vector<std::vector<std::int64_t>> drawn;
  for (const auto& tasks : plan.loaded) {
    std::vector<std::int64_t>& lengths = drawn.emplace_back();
    for (const tasks::Document& document : tasks[0]->task().documents())
      lengths.push_back(document.fills_tokens);
  }
  EXPECT_EQ(drawn, (std::vector<std::vector<std::int64_t>>{{256}, {256, 512}}));
  EXPECT_EQ(plan.samples.size(), 3U);
}

}  // namespace
}  // namespace h1bench

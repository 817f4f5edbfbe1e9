// A task added by the recipe of tasks/README.md: its folder is toy.cc, and step 4 (a line in
// registry.h and in registry.cc) is done on copies of these files when the build is configured.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "harness/suite/suite.h"
#include "tasks/task.h"

namespace h1bench::tasks {
namespace {

class Recipe : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "h1bench-toy-XXXXXX").string();
    options_.data = mkdtemp(pattern.data());
    std::filesystem::create_directory(options_.data / "toy");
    std::ofstream(options_.data / "toy/words.jsonl")
        << "{\"word\":\"hybrid\"}\n{\"word\":\"state\"}\n";
  }
  void TearDown() override { std::filesystem::remove_all(options_.data); }
  TaskOptions options_;
};

TEST_F(Recipe, TheToyIsATaskLikeTheOthers) {
  const std::vector<std::string> names = TaskNames();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_NE(std::find(names.begin(), names.end(), "toy"), names.end());
  EXPECT_NE(std::find(names.begin(), names.end(), "mmlu"), names.end());
  EXPECT_EQ(TaskSummary("toy"), "letters of a word");
  const auto suite = ParseSuite("models: [{path: /m}]\ntasks: [{task: toy, limit: 1}]\n", "s.yaml");
  ASSERT_TRUE(suite.ok()) << suite.status().message();
  EXPECT_EQ(suite->tasks[0].task, "toy");
  EXPECT_NE(LoadTask("toi", options_).status().message().find("Did you mean \"toy\"?"),
            std::string::npos);
}

TEST_F(Recipe, TheToyAsksAndScores) {
  const auto task = LoadTask("toy", options_);
  ASSERT_TRUE(task.ok()) << task.status().message();
  ASSERT_EQ((*task)->documents().size(), 2U);
  const Document& first = (*task)->documents()[0];
  EXPECT_EQ((*task)->BuildRequest(first).context, "Letters of hybrid:");
  EXPECT_EQ((*task)->ScoreResponse(first, {" 6", {}, {}}, nullptr).scores[0].second, 1);
  EXPECT_EQ((*task)->ScoreResponse(first, {" 5", {}, {}}, nullptr).scores[0].second, 0);
  EXPECT_EQ((*task)->data_digest().size(), 64U);
}

TEST_F(Recipe, TheToyRefusesWhatItDoesNotTake) {
  options_.shots = 2;
  EXPECT_EQ(LoadTask("toy", options_).status().message(),
            "task toy: the option shots does not apply. It takes: limit max_new_tokens");
  options_.shots = -1;
  std::filesystem::remove_all(options_.data / "toy");
  EXPECT_EQ(LoadTask("toy", options_).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace h1bench::tasks

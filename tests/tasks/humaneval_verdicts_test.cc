#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "tasks/data_file.h"
#include "tasks/sandbox/judge.h"
#include "tests/paths.h"

// The judge against official verdicts, with the real files.
namespace h1bench::tasks {
namespace {

struct Sample {
  std::string id, prompt, completion, tests, entry_point;
  bool solved;
};

std::vector<Sample> ReadSamples(const std::filesystem::path& file, const char* completion) {
  const auto rows = ReadJsonLines(h1bench::testing::SharedDir() / "data" / file,
                                  {"task_id", "prompt", "test", "entry_point", completion});
  EXPECT_TRUE(rows.ok()) << rows.status().message();
  std::vector<Sample> samples;
  if (!rows.ok()) return samples;
  for (const Json& row : *rows) {
    const Json* solved = row.Find("is_solved");
    samples.push_back({row.Find("task_id")->as_string(), row.Find("prompt")->as_string(),
                       row.Find(completion)->as_string(), row.Find("test")->as_string(),
                       row.Find("entry_point")->as_string(),
                       solved == nullptr || solved->as_bool()});
  }
  return samples;
}

/// Ids whose verdict is not `solved`.
std::set<std::string> Differences(const std::vector<Sample>& samples) {
  constexpr int kThreads = 2;
  const auto judge = LaunchJudge({.parallel = kThreads, .wall_seconds = 3});
  EXPECT_TRUE(judge.ok()) << judge.status().message();
  if (!judge.ok()) return {"no judge"};
  std::vector<Score> scores(samples.size());
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (std::size_t at; (at = next++) < samples.size();) {
        const Sample& sample = samples[at];
        scores[at] =
            (*judge)->Judge(sample.prompt, sample.completion, sample.tests, sample.entry_point);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> differences;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if ((scores[i].verdict == "pass") != samples[i].solved) differences.insert(samples[i].id);
  }
  return differences;
}

using Ids = std::set<std::string>;

TEST(SlowHumanEvalVerdicts, CanonicalSolutionsPass) {
  H1_NEED_SHARED();
  const auto samples = ReadSamples("humaneval/HumanEval.jsonl.gz", "canonical_solution");
  ASSERT_EQ(samples.size(), 164U);
  EXPECT_EQ(Differences(samples), Ids());
}

// Reflexion's completions (noahshinn/reflexion) with the verdicts that its authors published: 325
// agree. The three others use `math` or `is_prime` without defining them: published as solved by a
// process that had run other programs before, they end in a NameError when prompt, completion and
// tests run alone, as human-eval runs them.
TEST(SlowHumanEvalVerdicts, RealCompletionsAgree) {
  H1_NEED_SHARED();
  const std::filesystem::path folder = "model_outputs/humaneval_reflexion";
  const auto first = ReadSamples(folder / "simple_1_gpt-4.jsonl", "solution");
  ASSERT_EQ(first.size(), 164U);
  EXPECT_EQ(Differences(first), Ids());
  const auto second = ReadSamples(folder / "simple_1_text-davinci-003.jsonl", "solution");
  ASSERT_EQ(second.size(), 164U);
  EXPECT_EQ(Differences(second), Ids({"HumanEval/133", "HumanEval/143", "HumanEval/150"}));
}

}  // namespace
}  // namespace h1bench::tasks

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "base/sha256.h"
#include "tasks/data_file.h"
#include "tasks/sandbox/judge.h"
#include "tests/paths.h"

namespace h1bench::tasks {
namespace {

// Problems of our own in EvalPlus's form: an exact one, one with floats, and the one whose answers
// are checked by what they are for.
constexpr const char* kRows = R"js(
{"task_id": "T/0", "prompt": "\ndef total(values):\n    \"\"\"Sum.\"\"\"\n", "entry_point": "total", "canonical_solution": "    return sum(values)\n", "base_input": [[[1, 2]], [[]]], "plus_input": [[[123456789012345678901234567890, 1]], [[-1]]], "atol": 0}
{"task_id": "T/1", "prompt": "def halves(values):\n", "entry_point": "halves", "canonical_solution": "    return [v / 2 for v in values]\n", "base_input": [[[1.0, 3.0]]], "plus_input": [[[0.1, 1e300]], [[]]], "atol": 0}
{"task_id": "T/2", "prompt": "def find_zero(xs):\n", "entry_point": "find_zero", "canonical_solution": "    return -xs[0] / xs[1] if xs[1] else 0\n", "base_input": [[[1, 2]]], "plus_input": [[[0, 0, 1, -1]]], "atol": 0.0001}
)js";

CodeJudge* Judge() {
  static auto judge = LaunchJudge({.parallel = 2, .wall_seconds = 3});
  return judge.ok() ? judge->get() : nullptr;
}

std::unique_ptr<Task> Load(const char* name) {
  TaskOptions options;
  options.data = std::filesystem::temp_directory_path() / "h1bench-humanevalplus";
  std::filesystem::create_directories(options.data / "humanevalplus");
  // Named as upstream; the readers take the bytes as they are when the name does not end in .gz, so
  // the file is packed by gzip itself.
  const auto file = options.data / "humanevalplus/HumanEvalPlus.jsonl";
  std::ofstream(file) << kRows;
  EXPECT_EQ(std::system(("gzip -nf " + file.string()).c_str()), 0);
  auto task = LoadTask(name, options);
  EXPECT_TRUE(task.ok()) << task.status().message();
  return task.ok() ? std::move(*task) : nullptr;
}

TEST(HumanEvalPlus, Prompts) {
  const auto task = Load("humanevalplus"), chat = Load("humanevalplus_chat");
  const Request request = task->BuildRequest(task->documents()[0]);
  EXPECT_EQ(request.context, "def total(values):\n    \"\"\"Sum.\"\"\"\n");
  EXPECT_EQ(request.stops.size(), 11U);
  EXPECT_EQ(request.stops.back(), "\nassert ");
  EXPECT_EQ(request.max_new_tokens, 768);
  const Request asked = chat->BuildRequest(chat->documents()[1]);
  EXPECT_EQ(asked.context,
            "Please provide a self-contained Python script that solves the following problem in a "
            "markdown code block:\n```\ndef halves(values):\n```\nBelow is a Python script with a "
            "self-contained function that solves the problem and passes corresponding tests:\n"
            "```python\n");
  EXPECT_EQ(asked.stops.back(), "\n```\n");
}

struct Case {
  std::size_t document;
  const char* response;
  double plus, base;
};

TEST(HumanEvalPlus, BaseAndPlusDecide) {
  if (Judge() == nullptr) GTEST_SKIP() << "no sandbox here";
  const auto task = Load("humanevalplus");
  const Case cases[] = {
      {0, "    return sum(values)\n", 1, 1},
      {0, "\treturn sum(values)\n", 1, 1},                        // tabs
      {0, "    return sum(values)\n\nHope this helps!\n", 1, 1},  // talk behind the code
      {0, "    return sum(values) % 10**9\n", 0, 1},              // only the base inputs pass
      {0, "    return float(sum(values))\n", 0, 1},               // 1e29 is not the integer
      {0, "    return 3 if values else 0\n", 0, 1},               // knows the base inputs
      {0, "    return values\n", 0, 0},
      {0, "    return helper(values)\n\ndef helper(v):\n    return sum(v)\n", 1, 1},
      {0, "    print(values)\n", 0, 0},  // nothing is returned
      {1, "    return [v * 0.5 for v in values]\n", 1, 1},
      {1, "    return [v * 0.5 + 1e-7 for v in values]\n", 1, 1},  // within 1e-6
      {1, "    return [v * 0.5 + 1e-5 for v in values]\n", 0, 0},
      {1, "    return tuple(v * 0.5 for v in values)\n", 0, 0},  // a list was due
      {2, "    return 1 if len(xs) > 2 else -0.5\n", 1, 1},      // another root of x**2 - x**3
      {2, "    return 5 if len(xs) > 2 else -0.5\n", 0, 1},
  };
  for (const Case& one : cases) {
    const Score score =
        task->ScoreResponse(task->documents()[one.document], {one.response, {}, {}}, Judge());
    EXPECT_EQ(score.scores[0].second, one.plus) << one.response << score.detail;
    EXPECT_EQ(score.scores[1].second, one.base) << one.response << score.detail;
    EXPECT_EQ(score.verdict == "pass", one.plus == 1) << one.response;
  }
}

TEST(HumanEvalPlus, CodeIsTakenOutOfChat) {
  if (Judge() == nullptr) GTEST_SKIP() << "no sandbox here";
  const auto task = Load("humanevalplus_chat");
  const std::string text =
      "import math\nUNUSED = 1\nTWO = 2\n\ndef half(x):\n    return x / TWO\n\n"
      "def halves(values):\n    return [half(v) for v in values]\n\nprint(halves([1]))\n```\nThis "
      "function, as you see, halves.\n";
  const Score score = task->ScoreResponse(task->documents()[1], {text, {}, {}}, Judge());
  EXPECT_EQ(score.extracted,
            "import math\nTWO = 2\ndef half(x):\n    return x / TWO\n"
            "def halves(values):\n    return [half(v) for v in values]");
  EXPECT_EQ(score.scores[0].second, 1) << score.detail;
  const Score talk =
      task->ScoreResponse(task->documents()[1], {"I would rather not.\nNo.\n", {}, {}}, Judge());
  EXPECT_EQ(talk.verdict, "fail");
}

TEST(SlowHumanEvalPlus, ProgramsHaveATimeLimit) {
  if (Judge() == nullptr) GTEST_SKIP() << "no sandbox here";
  const auto task = Load("humanevalplus");
  const char* endless = "    while len(values) == 1:\n        pass\n    return sum(values)\n";
  const Score score = task->ScoreResponse(task->documents()[0], {endless, {}, {}}, Judge());
  EXPECT_EQ(score.verdict, "timeout") << score.detail;
  EXPECT_EQ(score.scores[1].second, 1);  // the base inputs have no single value
}

/// Scores of `responses` (document, text) on the real file, two at a time.
std::vector<Score> Grade(const Task& task,
                         const std::vector<std::pair<const Document*, std::string>>& responses) {
  std::vector<Score> scores(responses.size());
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (std::size_t at; (at = next++) < responses.size();)
        scores[at] =
            task.ScoreResponse(*responses[at].first, {responses[at].second, {}, {}}, Judge());
    });
  }
  for (std::thread& thread : threads) thread.join();
  return scores;
}

std::unique_ptr<Task> LoadReal() {
  TaskOptions options;
  options.data = h1bench::testing::SharedDir() / "data";
  auto task = LoadTask("humanevalplus", options);
  EXPECT_TRUE(task.ok()) << task.status().message();
  return task.ok() ? std::move(*task) : nullptr;
}

// Every fourth canonical solution of the real file: `h1bench grade` on all 164 takes longer than a
// test may (docs/tasks.md).
TEST(SlowHumanEvalPlus, CanonicalSolutionsPass) {
  H1_NEED_SHARED();
  if (Judge() == nullptr) GTEST_SKIP() << "no sandbox here";
  const auto task = LoadReal();
  ASSERT_EQ(task->documents().size(), 164U);
  std::vector<std::pair<const Document*, std::string>> responses;
  for (std::size_t i = 1; i < 164; i += 4)
    responses.emplace_back(&task->documents()[i], task->documents()[i].gold);
  const auto scores = Grade(*task, responses);
  for (std::size_t i = 0; i < scores.size(); ++i)
    EXPECT_EQ(scores[i].verdict, "pass") << responses[i].first->id << ": " << scores[i].detail;
}

// Reflexion's 328 completions as EvalPlus 0.3.1 sanitised and judged them (limits of 4 s and four
// times the reference). Here every eleventh; all 328 agree.
TEST(SlowHumanEvalPlus, RealCompletionsAgreeWithEvalPlus) {
  H1_NEED_SHARED();
  if (Judge() == nullptr) GTEST_SKIP() << "no sandbox here";
  const auto task = LoadReal();
  std::map<std::pair<std::string, std::string>, std::string> completions;
  for (const std::string file : {"simple_1_gpt-4.jsonl", "simple_1_text-davinci-003.jsonl"}) {
    const auto rows = ReadJsonLines(
        h1bench::testing::SharedDir() / "data/model_outputs/humaneval_reflexion" / file,
        {"task_id", "solution"});
    ASSERT_TRUE(rows.ok()) << rows.status().message();
    for (const Json& row : *rows)
      completions[{file, row.Find("task_id")->as_string()}] = row.Find("solution")->as_string();
  }
  const auto goldens =
      ReadJsonLines(h1bench::testing::GoldensDir() / "humanevalplus/evalplus_verdicts.jsonl",
                    {"file", "task_id", "sanitized_sha256"});
  ASSERT_TRUE(goldens.ok()) << goldens.status().message();
  ASSERT_EQ(goldens->size(), 328U);
  std::vector<std::pair<const Document*, std::string>> responses;
  for (std::size_t i = 0; i < 328; i += 11) {
    const Json& golden = (*goldens)[i];
    responses.emplace_back(
        &task->documents()[i % 164],
        completions.at({golden.Find("file")->as_string(), golden.Find("task_id")->as_string()}));
  }
  const auto scores = Grade(*task, responses);
  int base = 0, plus = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const Json& golden = (*goldens)[i * 11];
    const std::string where =
        golden.Find("file")->as_string() + " " + responses[i].first->id + ": " + scores[i].detail;
    ASSERT_EQ(responses[i].first->id, golden.Find("task_id")->as_string());
    EXPECT_EQ(scores[i].scores[0].second == 1, golden.Find("plus")->as_bool()) << where;
    EXPECT_EQ(scores[i].scores[1].second == 1, golden.Find("base")->as_bool()) << where;
    EXPECT_EQ(Sha256Hex(scores[i].extracted), golden.Find("sanitized_sha256")->as_string())
        << where;
    base += golden.Find("base")->as_bool() ? 1 : 0;
    plus += golden.Find("plus")->as_bool() ? 1 : 0;
  }
  EXPECT_GT(base, plus);  // the subset has programs that only the plus inputs find out
  EXPECT_LT(base, static_cast<int>(scores.size()));
}

}  // namespace
}  // namespace h1bench::tasks

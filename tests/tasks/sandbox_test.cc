#include <dirent.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tasks/sandbox/attacks.h"
#include "tasks/sandbox/jail.h"
#include "tasks/sandbox/judge.h"
#include "tests/paths.h"

namespace h1bench::tasks {
namespace {

// Problems of our own in HumanEval's form.
constexpr const char* kPrompt =
    "def helper(x):\n    return x * 2\n\n\ndef double_all(values):\n    \"\"\"Twice every "
    "value.\"\"\"\n";
constexpr const char* kTests =
    "def check(candidate):\n    assert candidate([1, 2]) == [2, 4]\n    assert candidate([]) == "
    "[]\n"
    "    assert candidate([7]) == [helper(7)]\n";

int ProcessesNamed(const std::string& name) {
  int count = 0;
  DIR* folder = opendir("/proc");
  while (const dirent* entry = readdir(folder)) {
    std::ifstream file(std::string("/proc/") + entry->d_name + "/cmdline");
    std::string line;
    std::getline(file, line, '\0');
    count += line == name ? 1 : 0;
  }
  closedir(folder);
  return count;
}

/// One judge for all tests of the binary: starting one costs four jails.
CodeJudge* Judge() {
  static auto judge = LaunchJudge({.parallel = 2, .wall_seconds = 3});
  return judge.ok() ? judge->get() : nullptr;
}

std::string WhyNot() {
  const auto judge = LaunchJudge();
  return judge.ok() ? "" : judge.status().message();
}

#define NEED_JUDGE() \
  if (Judge() == nullptr) GTEST_SKIP() << WhyNot()

Score Try(const std::string& body) { return Judge()->Judge(kPrompt, body, kTests, "double_all"); }

TEST(Sandbox, RightPassesAndWrongFails) {
  NEED_JUDGE();
  EXPECT_EQ(Try("    return [helper(x) for x in values]\n").verdict, "pass");
  EXPECT_EQ(Try("    return values\n").verdict, "fail");
  EXPECT_EQ(Try("    return [2, 4]\n").verdict, "fail");
  const Score syntax = Try("    return (\n");
  EXPECT_EQ(syntax.verdict, "fail");
  EXPECT_NE(syntax.detail.find("SyntaxError"), std::string::npos) << syntax.detail;
}

// A lone surrogate is a character to Python and none to UTF-8.
TEST(Sandbox, MessagesOfProgramsAreText) {
  NEED_JUDGE();
  const Score raised = Try("    raise ValueError('half \\udc80')\n");
  EXPECT_EQ(raised.verdict, "fail");
  EXPECT_NE(raised.detail.find("half ?"), std::string::npos) << raised.detail;
  const char* tests = "def check(candidate):\n    return candidate()\n";
  CodeJob job{.program = "def f():\n    return 'half \\udc80'\n",
              .prompt = "def f():\n",
              .tests = tests,
              .entry_point = "f",
              .data = Json()};
  EXPECT_EQ(Judge()->Run(job).extracted, "half ?");
}

TEST(Sandbox, PlainTypesCrossBothWays) {
  NEED_JUDGE();
  const char* tests =
      "def check(candidate):\n"
      "    for value in (None, True, 0, -10**40, 1.5, -0.1, float('inf'), 'a\\u20ac\\n\\udc80', "
      "b'x', "
      "[1, [2]], [1, None, 2.0, 'x'], [10**30, 1], (1, 'a'), {1, 2}, {'k': (1,)}, 2j, [{1: 2}]):\n"
      "        result = candidate(value)\n"
      "        assert result == value and type(result) is type(value), value\n";
  EXPECT_EQ(Judge()->Judge("def same(x):\n", "    return x\n", tests, "same").verdict, "pass");
  EXPECT_EQ(Judge()->Judge("def same(x):\n", "    return str(x)\n", tests, "same").verdict, "fail");
}

/// Seconds that judging `attack` took; fails the test when it succeeded.
double Hold(const Attack& attack, CodeJudge& judge) {
  const auto start = std::chrono::steady_clock::now();
  const Score score = JudgeBody(judge, AttackBody(attack));
  EXPECT_NE(score.verdict, "pass") << attack.name;
  EXPECT_NE(score.verdict, "sandbox_error") << attack.name << ": " << score.detail;
  EXPECT_EQ(score.detail.find("SyntaxError"), std::string::npos) << attack.name;
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(Sandbox, SubclassesCrossAsTheirBase) {
  NEED_JUDGE();
  const char* tests =
      "def check(candidate):\n    result = candidate('aab')\n"
      "    assert result == {'a': 2, 'b': 1} and type(result) is dict\n";
  const char* counter = "    import collections\n    return collections.Counter(x)\n";
  EXPECT_EQ(Judge()->Judge("def count(x):\n", counter, tests, "count").verdict, "pass");
}

TEST(Sandbox, ShortAttacksFail) {
  NEED_JUDGE();
  setenv("H1BENCH_SECRET", "token", 1);
  for (const Attack& attack : Attacks()) {
    if (attack.at_start) Hold(attack, *Judge());
  }
  // The instrument works: a right answer passes, and so does an attack that meets no resistance.
  EXPECT_EQ(JudgeBody(*Judge(), kRightBody).verdict, "pass");
  EXPECT_NE(JudgeBody(*Judge(), CombinedBody(Attacks())).verdict, "pass");
  const Attack harmless = {"nothing", "pass", true, true, false};
  EXPECT_EQ(JudgeBody(*Judge(), CombinedBody({&harmless, 1})).verdict, "pass");
  EXPECT_EQ(JudgeBody(*Judge(), AttackBody(harmless)).verdict, "pass");
}

/// The checker on its own, fed with `replies` as if a candidate had written them.
std::string CheckerAlone(const std::string& replies) {
  const auto folder = std::filesystem::temp_directory_path() / "h1bench-checker";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "replies") << replies;
  std::ofstream(folder / "job")
      << R"({"prompt": "def f():\n    pass\n", "entry_point": "f", )"
      << R"("tests": "def check(c):\n    assert c() == 1\n", )"
      << R"("data": null, "cpu_seconds": 4, "memory_bytes": 1073741824, "message_bytes": 1048576})";
  const auto source = h1bench::testing::SourceDir() / "tasks/sandbox";
  const std::string command = "cd " + folder.string() + " && cat " + (source / "wire.py").string() +
                              " " + (source / "checker.py").string() +
                              " > program && /usr/bin/python3 -I -S program once 3<replies "
                              "4>/dev/null 5<job 6>&1 | cat > verdict";
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::ifstream file(folder / "verdict");
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// A jail that never came up is our fault, not the model's; a program that dies is the model's.
TEST(Sandbox, FailuresOfTheJailAreNotTheModels) {
  if (access("/usr/bin/python3", X_OK) != 0) GTEST_SKIP() << "needs /usr/bin/python3";
  EXPECT_NE(CheckerAlone("").find("sandbox_error"), std::string::npos);
  EXPECT_NE(CheckerAlone("{\"ready\": true}\n").find("\"fail\""), std::string::npos);
  EXPECT_NE(CheckerAlone("{\"ready\": true}\n{\"loaded\": true}\n{\"nonce\": \"guess\", \"value\": "
                         "{\"i\": \"0x1\"}}\n")
                .find("no call asked for"),
            std::string::npos);
}

/// What attacks leave if they reach the host: every file that an attack makes is named so, and
/// nobody's own files are, which may have any name in /tmp.
std::vector<std::string> FilesMadeByAttacks() {
  std::vector<std::string> found;
  for (const char* folder : {"/", "/usr", "/dev", "/tmp", "/dev/shm"}) {
    std::error_code unreadable;
    for (const auto& entry : std::filesystem::directory_iterator(folder, unreadable)) {
      if (entry.path().filename().string().starts_with("h1bench-attack")) {
        found.push_back(entry.path().string());
      }
    }
  }
  return found;
}

// What the short list is for: a sandbox with a hole is found out before code is judged.
TEST(Sandbox, AHoleIsFoundBeforeCodeIsJudged) {
  NEED_JUDGE();
  const auto plan = MakeJailPlan();
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  JailPlan whole = *plan, forks = *plan, host = *plan;
  if (geteuid() == 0 && !LaunchJudgeWith(whole, {.parallel = 1}).ok()) whole.change_user = false;
  EXPECT_TRUE(LaunchJudgeWith(whole, {.parallel = 1}).ok());
  forks.candidate_filter = forks.checker_filter;
  host.folders.push_back("/etc");
  for (JailPlan* hole : {&forks, &host}) {
    hole->change_user = whole.change_user;
    const auto judge = LaunchJudgeWith(*hole, {.parallel = 1});
    ASSERT_FALSE(judge.ok());
    EXPECT_EQ(judge.status().code(), StatusCode::kFailedPrecondition);
    EXPECT_NE(judge.status().message().find("did not hold"), std::string::npos)
        << judge.status().message();
    EXPECT_NE(SandboxProfile(*hole), SandboxProfile(whole));
  }
  EXPECT_EQ(SandboxProfile(whole).size(), 64U);
}

TEST(SlowSandbox, EveryAttackFailsInTimeAndLeavesNothing) {
  NEED_JUDGE();
  EXPECT_GE(Attacks().size(), 40U);
  for (const std::string& left : FilesMadeByAttacks()) std::filesystem::remove(left);
  const auto judge = LaunchJudge({.parallel = 1, .wall_seconds = 1});
  ASSERT_TRUE(judge.ok()) << judge.status().message();
  const int before = ProcessesNamed("bwrap");
  for (const Attack& attack : Attacks()) {
    EXPECT_LT(Hold(attack, **judge), 2.0) << attack.name;  // the limit and a second
    EXPECT_EQ(ProcessesNamed("bwrap"), before) << attack.name;
  }
  EXPECT_TRUE(FilesMadeByAttacks().empty()) << FilesMadeByAttacks()[0];
}

}  // namespace
}  // namespace h1bench::tasks

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>

#include "base/json.h"
#include "tests/cli/run_process.h"
#include "tests/paths.h"

/// Whole runs with real processes: the results must not depend on how many workers, in what
/// batches, or who died.
namespace h1bench {
namespace {

using testing::Alive;
using testing::Program;
using testing::ReadText;
using testing::WaitUntil;

constexpr double kPatience = 60;

class SlowRunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "h1bench-run-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    WriteSuite(8);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// The toy model in two precisions on questions of three kinds; no code, so that it runs where
  /// there is no sandbox.
  void WriteSuite(int limit, const std::string& name = "suite.yaml") {
    const std::string demo = (testing::SourceDir() / "demo").string();
    std::ofstream(folder_ / name)
        << "name: small\ndata: " << demo << "/data\nmodels:\n  - {name: toy, path: " << demo
        << "/models/toy, precisions: [bf16, fp32]}\ntasks:\n"
        << "  - {task: mmlu, subjects: [anatomy, formal_logic], shots: 2, limit: " << limit << "}\n"
        << "  - {task: gsm8k, shots: 2, limit: " << limit / 2 << ", max_new_tokens: 40}\n"
        << "  - {task: gsm8k, name: sampled, shots: 1, limit: 4, max_new_tokens: 24, temperature: "
           "0.8, repeats: 2}\n"
        << "  - {task: niah, lengths: [256], depths: [0, 50], samples: 1}\n";
  }
  std::string Db(const std::string& name) const { return (folder_ / (name + ".db")).string(); }
  std::vector<std::string> Arguments(const std::string& command, const std::string& name,
                                     const std::vector<std::string>& more) const {
    std::vector<std::string> all = {command};
    if (command == "run") all.push_back((folder_ / "suite.yaml").string());
    all.insert(all.end(), {"--db", Db(name), "--json", "--progress", "none"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  /// Runs to the end; the results digest.
  std::string Digest(const std::string& command, const std::string& name,
                     const std::vector<std::string>& more) {
    Program program(folder_, name, Arguments(command, name, more));
    const int code = program.Wait();
    EXPECT_EQ(code, 0) << program.err();
    return DigestOf(program.out());
  }
  static std::string DigestOf(const std::string& text) {
    const Result<Json> json = ParseJson(text);
    EXPECT_TRUE(json.ok()) << text;
    if (!json.ok()) return "";
    EXPECT_EQ(json->Find("state")->as_string(), "finished");
    const std::string digest = json->Find("results_digest")->as_string();
    EXPECT_EQ(digest.size(), 64U);
    return digest;
  }
  /// Answers in the database, asked while somebody else writes it.
  std::int64_t Answered(const std::string& name) {
    Program program(folder_, name + "-watch", {"watch", "--db", Db(name), "--json"});
    if (program.Wait() != 0) return 0;
    const Result<Json> json = ParseJson(program.out());
    if (!json.ok()) return 0;
    std::int64_t done = 0;
    for (const Json& cell : json->Find("cells")->as_array()) done += cell.Find("done")->as_int();
    return done;
  }

  /// The name of a database's first run.
  std::string NameOfFirst(const std::string& name) {
    Program program(folder_, name + "-list", {"watch", "--db", Db(name), "--list"});
    EXPECT_EQ(program.Wait(), 0) << program.err();
    return program.out().substr(0, program.out().find('\t'));
  }

  std::filesystem::path folder_;
};

const std::vector<std::string> kSlowNull = {"--engine", "null", "--null-delay-ms", "15"};

std::vector<std::string> Join(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST_F(SlowRunTest, WorkersBatchAndReuseDoNotChangeTheResults) {
  const std::string alone = Digest("run", "alone", {"--workers", "1", "--batch", "1"});
  EXPECT_EQ(Digest("run", "many", {"--workers", "3", "--batch", "8"}), alone);
  EXPECT_EQ(Digest("run", "fresh", {"--workers", "1", "--batch", "8", "--no-prefix-reuse"}), alone);
  EXPECT_EQ(Digest("run", "threads", {"--workers", "2", "--batch", "64", "--threads", "2"}), alone);
  // The digest does see answers: another engine's are others, and so are those of fewer questions.
  EXPECT_NE(Digest("run", "null", {"--engine", "null"}), alone);
  WriteSuite(6);
  EXPECT_NE(Digest("run", "fewer", {}), alone);
  // Reports without timing are equal byte for byte.
  std::vector<std::string> reports;
  for (const char* name : {"alone", "many", "fresh"}) {
    Program report(folder_, "report",
                   {"report", "--db", Db(name), "--no-timing", "--format", "html"});
    ASSERT_EQ(report.Wait(), 0) << report.err();
    reports.push_back(report.out());
  }
  EXPECT_GT(reports[0].size(), 1000U);
  EXPECT_EQ(reports[0], reports[1]);
  EXPECT_EQ(reports[0], reports[2]);
}

TEST_F(SlowRunTest, AWorkerKilledHalfWayChangesNothing) {
  const std::string calm = Digest("run", "calm", {"--engine", "null"});
  Program run(folder_, "killed", Arguments("run", "killed", Join(kSlowNull, {"--workers", "2"})));
  ASSERT_TRUE(
      WaitUntil([&] { return Answered("killed") > 0 && run.Workers().size() == 2; }, kPatience));
  kill(run.Workers()[0], SIGKILL);
  EXPECT_EQ(run.Wait(), 0) << run.err();
  EXPECT_EQ(DigestOf(run.out()), calm);
}

TEST_F(SlowRunTest, ARealWorkerKilledHalfWayChangesNothing) {
  WriteSuite(40);  // long enough to be caught in the middle
  const std::string calm = Digest("run", "calm", {});
  Program run(folder_, "killed",
              Arguments("run", "killed", {"--workers", "2", "--batch", "1", "--no-prefix-reuse"}));
  ASSERT_TRUE(
      WaitUntil([&] { return run.Workers().size() == 2 && Answered("killed") > 0; }, kPatience));
  for (const pid_t worker : run.Workers()) kill(worker, SIGKILL);
  EXPECT_EQ(run.Wait(), 0) << run.err();
  EXPECT_EQ(DigestOf(run.out()), calm);
}

TEST_F(SlowRunTest, AKilledRunIsResumedByAnotherNumberOfWorkers) {
  const std::string calm = Digest("run", "calm", {"--engine", "null"});
  Program run(folder_, "cut", Arguments("run", "cut", Join(kSlowNull, {"--workers", "2"})));
  ASSERT_TRUE(
      WaitUntil([&] { return Answered("cut") > 0 && run.Workers().size() == 2; }, kPatience));
  const std::vector<pid_t> workers = run.Workers();
  run.Signal(SIGKILL);
  EXPECT_EQ(run.Wait(), 128 + SIGKILL);
  for (const pid_t worker : workers) {
    EXPECT_TRUE(WaitUntil([&] { return !Alive(worker); }, 10))
        << "a worker outlived its coordinator by ten seconds";
  }
  const std::int64_t before = Answered("cut");
  EXPECT_GT(before, 0);
  EXPECT_EQ(Digest("resume", "cut", {"--workers", "3"}), calm);
  // Nothing is left to resume, and that is said.
  Program again(folder_, "again", Arguments("resume", "cut", {}));
  EXPECT_EQ(again.Wait(), 3);
  EXPECT_NE(again.err().find("no unfinished run"), std::string::npos) << again.err();
}

TEST_F(SlowRunTest, CtrlCPausesAndSaysHowToGoOn) {
  const std::string calm = Digest("run", "calm", {"--engine", "null"});
  // Slow enough that it still runs when a busy machine has started the second program.
  Program run(folder_, "paused",
              Arguments("run", "paused", {"--engine", "null", "--null-delay-ms", "200"}));
  ASSERT_TRUE(WaitUntil([&] { return Answered("paused") > 0; }, kPatience));
  // While it runs, nobody else may write its database.
  Program second(folder_, "second", Arguments("resume", "paused", {}));
  EXPECT_EQ(second.Wait(), 2);
  EXPECT_NE(second.err().find(std::to_string(run.pid())), std::string::npos) << second.err();
  run.Signal(SIGINT);
  EXPECT_EQ(run.Wait(), 130);
  // It names the run, and the beginning of the name is enough.
  const std::string name = NameOfFirst("paused");
  EXPECT_NE(run.err().find("h1bench resume " + name + " --db"), std::string::npos) << run.err();
  EXPECT_EQ(Digest("resume", "paused", {name.substr(0, 2)}), calm);
}

TEST_F(SlowRunTest, ASampleThatKillsWorkersIsGivenUpAndTheRestIsThere) {
  // A question of the demo's own; the null engine aborts on its text.
  std::ifstream data(testing::SourceDir() / "demo/data/gsm8k/test.jsonl");
  std::string line;
  for (int i = 0; i < 4; ++i) std::getline(data, line);
  const Result<Json> row = ParseJson(line);
  ASSERT_TRUE(row.ok());
  const std::string deadly = row->Find("question")->as_string();
  std::ofstream(folder_ / "suite.yaml")
      << "name: poison\ndata: " << (testing::SourceDir() / "demo/data").string()
      << "\nmodels: [{name: toy, path: " << (testing::SourceDir() / "demo/models/toy").string()
      << "}]\ntasks: [{task: gsm8k, shots: 0, limit: 12}]\n";
  Program run(folder_, "poison",
              Arguments("run", "poison", {"--engine", "null", "--null-abort-on", deadly}));
  EXPECT_EQ(run.Wait(), 5);
  const Result<Json> json = ParseJson(run.out());
  ASSERT_TRUE(json.ok()) << run.out() << run.err();
  EXPECT_EQ(json->Find("poisoned")->as_int(), 1);
  EXPECT_EQ(json->Find("cells")->as_array()[0].Find("scored")->as_int(), 11);
  EXPECT_NE(run.err().find("killed three workers"), std::string::npos) << run.err();
}

TEST_F(SlowRunTest, PartsByHandWorkAndAWorkerLeavesADeadCoordinator) {
  const std::string calm = Digest("run", "calm", {"--engine", "null"});
  Program coordinator(
      folder_, "coordinator",
      {"coordinator", "--db", Db("hand"), "--listen", "127.0.0.1:0", "--engine", "null"});
  ASSERT_TRUE(WaitUntil(
      [&] { return coordinator.out().find("listening on ") != std::string::npos; }, kPatience))
      << coordinator.err();
  const std::string text = coordinator.out();
  const std::size_t start = text.find("listening on ") + 13;
  const std::string address = text.substr(start, text.find(',', start) - start);
  Program worker(folder_, "worker",
                 {"worker", "--coordinator", address, "--name", "one", "--engine", "null"});
  Program submit(
      folder_, "submit",
      {"submit", (folder_ / "suite.yaml").string(), "--coordinator", address, "--watch", "--json"});
  EXPECT_EQ(submit.Wait(), 0) << submit.err();
  EXPECT_EQ(DigestOf(submit.out()), calm);
  Program list(folder_, "list", {"watch", "--coordinator", address, "--list"});
  EXPECT_EQ(list.Wait(), 0);
  const std::string name = NameOfFirst("hand");
  EXPECT_EQ(list.out(), name + "\t1\tfinished\tsmall\n");
  Program cancel(folder_, "cancel", {"cancel", name, "--coordinator", address});
  EXPECT_EQ(cancel.Wait(), 3) << "a finished run cannot be cancelled";
  coordinator.Signal(SIGKILL);
  EXPECT_TRUE(WaitUntil([&] { return worker.Ended(); }, 10))
      << "the worker waits for a dead coordinator";
  EXPECT_EQ(worker.Wait(), 5);
}

// A coordinator that cannot judge code refuses such a suite before anything is stored.
TEST_F(SlowRunTest, CodeThatCannotBeJudgedLeavesNoRun) {
  const std::string demo = (testing::SourceDir() / "demo").string();
  std::ofstream(folder_ / "code.yaml")
      << "name: code\ndata: " << demo << "/data\nmodels: [{name: toy, path: " << demo
      << "/models/toy}]\ntasks: [{task: humaneval, limit: 2}]\n";
  // In a namespace where bubblewrap is an empty file.
  std::vector<std::string> jailed = {"bwrap",
                                     "--die-with-parent",
                                     "--dev-bind",
                                     "/",
                                     "/",
                                     "--ro-bind",
                                     "/dev/null",
                                     "/usr/bin/bwrap",
                                     testing::BinaryPath().string(),
                                     "coordinator",
                                     "--db",
                                     Db("code"),
                                     "--listen",
                                     "127.0.0.1:0",
                                     "--engine",
                                     "null"};
  Program coordinator(folder_, "jailed", jailed, "/usr/bin/bwrap");
  if (!WaitUntil([&] { return coordinator.out().find("listening on ") != std::string::npos; }, 20))
    GTEST_SKIP() << "no namespaces here: " << coordinator.err();
  ASSERT_NE(coordinator.out().find("code cannot be judged here"), std::string::npos);
  const std::string text = coordinator.out();
  const std::size_t start = text.find("listening on ") + 13;
  const std::string address = text.substr(start, text.find(',', start) - start);
  Program submit(folder_, "submit",
                 {"submit", (folder_ / "code.yaml").string(), "--coordinator", address});
  EXPECT_EQ(submit.Wait(), 4) << submit.err();
  EXPECT_NE(submit.err().find("cannot judge code"), std::string::npos) << submit.err();
  Program list(folder_, "list", {"watch", "--coordinator", address, "--list", "--json"});
  EXPECT_EQ(list.Wait(), 0);
  EXPECT_EQ(list.out(), "[]\n");
}

TEST_F(SlowRunTest, AWorkerAskedToLeaveGivesItsWorkBack) {
  const std::string calm = Digest("run", "calm", {"--engine", "null"});
  Program coordinator(
      folder_, "coordinator",
      {"coordinator", "--db", Db("hand"), "--listen", "127.0.0.1:0", "--engine", "null"});
  ASSERT_TRUE(WaitUntil(
      [&] { return coordinator.out().find("listening on ") != std::string::npos; }, kPatience))
      << coordinator.err();
  const std::string text = coordinator.out();
  const std::size_t start = text.find("listening on ") + 13;
  const std::string address = text.substr(start, text.find(',', start) - start);
  Program first(folder_, "first",
                Join({"worker", "--coordinator", address, "--name", "one"}, kSlowNull));
  Program submit(
      folder_, "submit",
      {"submit", (folder_ / "suite.yaml").string(), "--coordinator", address, "--watch", "--json"});
  ASSERT_TRUE(WaitUntil([&] { return Answered("hand") > 0; }, kPatience));
  first.Signal(SIGTERM);
  EXPECT_EQ(first.Wait(), 0) << first.err();
  EXPECT_FALSE(submit.Ended());
  Program second(folder_, "second",
                 {"worker", "--coordinator", address, "--name", "two", "--engine", "null"});
  EXPECT_EQ(submit.Wait(), 0) << submit.err();
  EXPECT_EQ(DigestOf(submit.out()), calm);
  coordinator.Signal(SIGTERM);
  EXPECT_EQ(coordinator.Wait(), 0) << coordinator.err();
}

TEST_F(SlowRunTest, AnotherRunOfTheSameSuiteOnlyLooksUp) {
  const std::string first = Digest("run", "twice", {"--engine", "null"});
  // An engine that dies on every gsm8k question proves that none is asked again, and in an empty
  // database that it does.
  const std::vector<std::string> deadly = {"--engine", "null", "--null-abort-on", "Question:"};
  EXPECT_EQ(Digest("run", "twice", deadly), first);
  Program fresh(folder_, "fresh", Arguments("run", "fresh", deadly));
  EXPECT_EQ(fresh.Wait(), 5);
}

TEST(RunErrorsTest, MistakesHaveTheirExitCodes) {
  std::string pattern = (std::filesystem::temp_directory_path() / "h1bench-XXXXXX").string();
  const std::filesystem::path folder = mkdtemp(pattern.data());  // not what an older build left
  const std::vector<std::pair<std::vector<std::string>, int>> cases = {
      {{"run", "/nonexistent/suite.yaml"}, 3},
      {{"run"}, 2},
      {{"resume", "--db", "/nonexistent/run.db"}, 3},
      {{"worker", "--coordinator", "127.0.0.1:1", "--engine", "nothing"}, 2},
      {{"coordinator", "--db", (folder / "never.db").string(), "--listen", "0.0.0.0:0"}, 2},
      {{"watch", "--coordinator", "127.0.0.1:1", "--once"}, 5}};
  for (const auto& [arguments, code] : cases) {
    Program program(folder, "h1bench-mistake", arguments);
    EXPECT_EQ(program.Wait(), code) << arguments[0] << ": " << program.err();
    EXPECT_FALSE(program.err().empty());
  }
  std::filesystem::remove_all(folder);
}

/// Switches of the engine: from the suite to the ids that were fed, and into the report.
TEST_F(SlowRunTest, EngineSwitchesAreFedAndReported) {
  const std::string demo = (testing::SourceDir() / "demo").string();
  std::ofstream(folder_ / "suite.yaml")
      << "name: switches\ndata: " << demo << "/data\nmodels:\n  - {path: " << demo
      << "/models/toy}\ntasks:\n"
         "  - {task: mmlu, name: plain, shots: 0, limit: 2, subjects: [anatomy]}\n"
         "  - {task: mmlu, name: switched, shots: 0, limit: 2, subjects: [anatomy], bos: once, "
         "log_softmax: bf16}\n";
  Digest("run", "switches", {});
  Program samples(folder_, "samples", {"samples", "--db", Db("switches")});
  ASSERT_EQ(samples.Wait(), 0) << samples.err();
  std::istringstream lines(samples.out());
  int switched = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json sample = ParseJson(line).value();
    const bool on = sample.Find("task")->as_string() == "switched";
    switched += on;
    const auto& ids = sample.Find("first_ids")->as_array();
    EXPECT_EQ(ids[0].as_int() == 2, on) << line;  // the toy's BOS
    EXPECT_NE(ids[1].as_int(), 2) << line;
    bool bf16 = true;
    for (const Json& value : sample.Find("loglikelihoods")->as_array()) {
      const auto number = static_cast<float>(value.as_double());
      bf16 = bf16 && (std::bit_cast<std::uint32_t>(number) & 0xffffU) == 0 &&
             static_cast<double>(number) == value.as_double();
    }
    EXPECT_EQ(bf16, on) << line;
  }
  EXPECT_EQ(switched, 2);
  Program report(folder_, "report", {"report", "--db", Db("switches"), "--format", "md"});
  ASSERT_EQ(report.Wait(), 0) << report.err();
  EXPECT_NE(report.out().find(", BOS in front, log-softmax in bf16"), std::string::npos);
}

/// The toy is a base model: chat is refused before anything runs, and the message says where.
TEST_F(SlowRunTest, ChatNeedsAChatTemplate) {
  const std::string demo = (testing::SourceDir() / "demo").string();
  std::ofstream(folder_ / "suite.yaml")
      << "name: chat\ndata: " << demo << "/data\nmodels:\n  - {path: " << demo
      << "/models/toy}\ntasks:\n  - {task: gsm8k, shots: 1, limit: 1, chat: multiturn}\n";
  Program program(folder_, "chat", Arguments("run", "chat", {}));
  EXPECT_EQ(program.Wait(), 4);
  EXPECT_NE(program.err().find("suite.yaml:6"), std::string::npos) << program.err();
  EXPECT_NE(program.err().find("no chat template"), std::string::npos) << program.err();
}

}  // namespace
}  // namespace h1bench

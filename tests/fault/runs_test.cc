#include <set>

#include "tests/fault/driver.h"

/// A document that kills workers, a wall clock that jumps, and what a run may take from the one
/// before it.
namespace h1bench::fault {
namespace {

class Runs : public FaultTest {
 protected:
  /// A question of the demo's own, in one prompt only (its shots come from another file).
  static std::string DeadlyQuestion() {
    std::istringstream file(ReadText(testing::SourceDir() / "demo/data/gsm8k/test.jsonl"));
    std::string line;
    for (int i = 0; i < 5; ++i) std::getline(file, line);
    const Result<Json> row = ParseJson(line);
    return row.ok() ? row->Find("question")->as_string() : "";
  }
};

class SlowRuns : public Runs {};
class FullRuns : public Runs {};

TEST_F(SlowRuns, APoisonDocument) {
  ASSERT_NO_FATAL_FAILURE(Calm(1));
  const std::string deadly = DeadlyQuestion();
  ASSERT_GT(deadly.size(), 20U);
  Program run(folder_, "poison",
              std::vector<std::string>{"run", Suite().string(), "--engine", "null", "--workers",
                                       "2", "--null-abort-on", deadly} +
                  Options("poison"));
  EXPECT_EQ(run.Wait(), 5) << "the end must say that something is missing";
  EXPECT_NE(run.err().find("killed three workers"), std::string::npos) << run.err();
  const Outcome found = Look(Db("poison"));
  EXPECT_EQ(found.samples, calm_.samples);
  // Two precisions ask it; nobody else is harmed.
  std::set<std::string> harmed(calm_.answers.begin(), calm_.answers.end());
  for (const std::string& answer : found.answers) harmed.erase(answer);
  EXPECT_EQ(harmed.size(), 2U);
  EXPECT_EQ(Number(Db("poison"), "SELECT count(*) FROM samples WHERE poisoned = 1"), 2);
  EXPECT_EQ(Number(Db("poison"), "SELECT count(*) FROM scores"),
            static_cast<std::int64_t>(calm_.samples.size()) - 2);
  EXPECT_EQ(Number(Db("poison"), "SELECT count(*) FROM runs WHERE state = 'finished'"), 1);
  EXPECT_NE(found.report.find("\"poisoned\": 1"), std::string::npos);
  for (const std::string& answer : found.answers) {
    if (answer.find("\"response\":null") == std::string::npos) continue;
    EXPECT_NE(answer.find("3 workers died"), std::string::npos) << "it must say why: " << answer;
  }
}

TEST_F(FullRuns, TheWallClockJumps) {
  const std::filesystem::path shim = testing::BinaryPath().parent_path() / "libclock_shim.so";
  if (!std::filesystem::exists(shim)) GTEST_SKIP() << "not built: sanitizers want to be first";
  ASSERT_NO_FATAL_FAILURE(Calm(1));
  setenv("LD_PRELOAD", shim.c_str(), 1);
  {
    Coordinator coordinator(folder_, Db("jumps"), 2000);
    Program one(folder_, "one", coordinator.Worker("one", 25));
    Program two(folder_, "two", coordinator.Worker("two", 25));
    Program submit(
        folder_, "submit",
        {"submit", Suite().string(), "--coordinator", coordinator.address(), "--watch", "--json"});
    unsetenv("LD_PRELOAD");
    EXPECT_EQ(submit.Wait(), 0) << submit.err();
  }
  ExpectCalm("jumps");
  EXPECT_EQ(Number(Db("jumps"), "SELECT count(*) FROM leases WHERE state <> 'closed'"), 0)
      << "a lease ended although its worker lived";
  EXPECT_EQ(Number(Db("jumps"),
                   "SELECT count(*) FROM runs WHERE abs(created_unix_ms / 1000 - "
                   "finished_unix_ms / 1000) > 80000"),
            1)
      << "the clock did not jump";
}

TEST_F(SlowRuns, AnotherNumberOfWorkersTakesEveryAnswer) {
  ASSERT_NO_FATAL_FAILURE(Calm(1));
  const char* digest =
      "SELECT group_concat(key || worker || queue_seconds || text || loglikelihoods) FROM "
      "responses";
  const std::vector<std::string> answers = Query(Db("calm"), digest);
  const std::int64_t leases = Number(Db("calm"), "SELECT count(*) FROM leases");
  EXPECT_EQ(Finish("calm", {"run", Suite().string(), "--workers", "3"}), 0);
  EXPECT_EQ(Query(Db("calm"), digest), answers);
  EXPECT_EQ(Number(Db("calm"), "SELECT count(*) FROM leases"), leases)
      << "something was asked again";
  ExpectCalm("calm");
}

/// What a cut run has answered is not asked again by other workers.
TEST_F(FullRuns, ResumingAsksOnlyWhatIsMissing) {
  ASSERT_NO_FATAL_FAILURE(Calm(1));
  setenv("H1BENCH_FAILPOINT", "submit.before_ack:3=kill", 1);
  EXPECT_EQ(Finish("cut", {"run", Suite().string()}), 128 + SIGKILL);
  unsetenv("H1BENCH_FAILPOINT");
  std::string keys = "''";
  for (const std::string& key : Query(Db("cut"), "SELECT key FROM responses"))
    keys += ",'" + key + "'";
  const std::string attempts =
      "SELECT sum(attempts) FROM samples WHERE request_key IN (" + keys + ")";
  const std::int64_t before = Number(Db("cut"), attempts);
  EXPECT_GT(before, 0);
  EXPECT_LT(Answered("cut"), Number(Db("cut"), "SELECT count(*) FROM samples"));
  EXPECT_EQ(Finish("cut", {"resume", "--workers", "3"}), 0);
  EXPECT_EQ(Number(Db("cut"), attempts), before) << "an answered question was asked again";
  ExpectCalm("cut");
}

TEST_F(SlowRuns, AChangedModelTakesNoAnswer) {
  const std::filesystem::path model = folder_ / "model";
  std::filesystem::copy(testing::SourceDir() / "demo/models/toy", model,
                        std::filesystem::copy_options::recursive);
  std::ofstream(Suite()) << "name: changed\ndata: " << (testing::SourceDir() / "demo/data").string()
                         << "\nmodels: [{name: toy, path: " << model.string()
                         << "}]\ntasks: [{task: gsm8k, shots: 1}]\n";
  setenv("H1BENCH_FAILPOINT", "submit.before_ack:2=kill", 1);
  EXPECT_EQ(Finish("model", {"run", Suite().string()}), 128 + SIGKILL);
  unsetenv("H1BENCH_FAILPOINT");
  EXPECT_GT(Answered("model"), 0);

  // One bit of one weight.
  std::filesystem::path weights;
  for (const auto& entry : std::filesystem::directory_iterator(model)) {
    if (entry.path().extension() == ".safetensors") weights = entry.path();
  }
  ASSERT_FALSE(weights.empty());
  std::string bytes = ReadText(weights);
  bytes[bytes.size() - 4321] = static_cast<char>(bytes[bytes.size() - 4321] ^ 1);
  std::ofstream(weights, std::ios::binary) << bytes;

  Program resume(folder_, "resume",
                 std::vector<std::string>{"resume", "--engine", "null"} + Options("model"));
  EXPECT_NE(resume.Wait(), 0);
  EXPECT_NE(resume.err().find("the model changed since the run was planned"), std::string::npos)
      << resume.err();
  EXPECT_EQ(Finish("model", {"run", Suite().string()}), 0);
  EXPECT_EQ(Number(Db("model"),
                   "SELECT count(*) FROM samples a JOIN samples b ON a.request_key = "
                   "b.request_key WHERE a.run_id = 1 AND b.run_id = 2"),
            0)
      << "an answer of the other model would be taken";
  EXPECT_EQ(Number(Db("model"), "SELECT count(*) FROM samples WHERE run_id = 2 AND attempts = 0"),
            0);
}

/// Two machines of one kind that do not compute the same: the second gets no answer in.
TEST_F(SlowRuns, AMachineThatComputesOtherBitsIsRefused) {
  // One variant: whoever comes first to another one says what its bits are.
  ASSERT_NO_FATAL_FAILURE(Calm(5, "bf16"));
  {
    Coordinator coordinator(folder_, Db("bits"), 30'000);
    // So slow that the run does not end before the second one has its lease.
    Program one(folder_, "one", coordinator.Worker("one", 100));
    Program submit(
        folder_, "submit",
        {"submit", Suite().string(), "--coordinator", coordinator.address(), "--watch", "--json"});
    ASSERT_TRUE(WaitUntil([&] { return Answered("bits") > 0; }, kPatience));
    Program two(folder_, "two",
                coordinator.Worker("two", 5) + std::vector<std::string>{"--null-probe", "other"});
    EXPECT_EQ(two.Wait(), 4) << two.err();
    EXPECT_NE(two.err().find("with other bits"), std::string::npos) << two.err();
    EXPECT_EQ(submit.Wait(), 0) << submit.err();
    EXPECT_NE(submit.out().find("two: its engine answers the probes"), std::string::npos)
        << submit.out();
  }
  ExpectCalm("bits");
  EXPECT_EQ(Number(Db("bits"), "SELECT count(*) FROM responses WHERE worker = 'two'"), 0);
  EXPECT_EQ(Number(Db("bits"), "SELECT count(*) FROM failures WHERE worker = 'two'"), 1);
  std::vector<std::string> wrong;
  EXPECT_NE(CommandOutput({"watch", "--db", Db("bits").string()}, wrong).find("! worker two: its"),
            std::string::npos);
  EXPECT_NE(CommandOutput({"report", "--db", Db("bits").string(), "--format", "md"}, wrong)
                .find("worker two did not work: its"),
            std::string::npos);
  EXPECT_EQ(wrong, std::vector<std::string>{});
}

/// A build whose attention is wrong (base/planted.h) never gets a lease; a sound one finishes.
TEST_F(SlowRuns, AWrongKernelGetsNoLease) {
  const std::string demo = (testing::SourceDir() / "demo").string();
  std::ofstream(Suite()) << "name: kernel\ndata: " << demo
                         << "/data\nmodels: [{name: toy, path: " << demo
                         << "/models/toy}]\ntasks: [{task: gsm8k, shots: 1, limit: 2}]\n";
  const std::vector<std::string> cpu = {"--engine", "cpu", "--workers", "2", "--threads", "1"};
  setenv("H1BENCH_PLANT_BUG", "9", 1);
  setenv("H1BENCH_TEST_BINARY", (testing::BinaryDir() / "planted").c_str(), 1);
  Program wrong(folder_, "wrong",
                std::vector<std::string>{"run", Suite().string()} + Options("kernel") + cpu);
  unsetenv("H1BENCH_TEST_BINARY");
  unsetenv("H1BENCH_PLANT_BUG");
  EXPECT_EQ(wrong.Wait(), 5);
  EXPECT_NE(wrong.err().find("engine self-test on cpu at fp32: probe"), std::string::npos)
      << wrong.err();
  EXPECT_EQ(Number(Db("kernel"), "SELECT count(*) FROM leases"), 0);
  EXPECT_EQ(Number(Db("kernel"), "SELECT count(*) FROM failures"), 2);
  Program resume(folder_, "resume", std::vector<std::string>{"resume"} + Options("kernel") + cpu);
  EXPECT_EQ(resume.Wait(), 0) << resume.err();
  EXPECT_EQ(Answered("kernel"), 2);
  EXPECT_EQ(Number(Db("kernel"), "SELECT count(*) FROM probes"), 1);
}

}  // namespace
}  // namespace h1bench::fault

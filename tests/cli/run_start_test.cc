// Workers are started before the run is stored: none may be left when there is no run.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/cli/run_process.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

using testing::Program;

/// Worker processes of a process that may be gone.
int WorkersOf(pid_t parent) {
  const std::string mark = std::string("--parent\0", 9) + std::to_string(parent) + '\0';
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc"))
    count += testing::ReadText(entry.path() / "cmdline").find(mark) != std::string::npos ? 1 : 0;
  return count;
}

class RunStartTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "h1bench-start-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    const std::string demo = (testing::SourceDir() / "demo").string();
    std::ofstream(folder_ / "suite.yaml")
        << "name: small\ndata: " << demo << "/data\nmodels: [{path: " << demo
        << "/models/toy}]\ntasks: [{task: mmlu, subjects: [anatomy], shots: 2}]\n";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

TEST_F(RunStartTest, NoWorkerIsLeftOfARunThatCannotBeStored) {
  for (const auto& [failure, code] : {std::pair{"error", 5}, {"kill", 128 + SIGKILL}}) {
    const std::string db = (folder_ / failure).string() + ".db";
    Program program(folder_, failure,
                    {"env", std::string("H1BENCH_FAILPOINT=plan.before_commit=") + failure,
                     testing::BinaryPath().string(), "run", (folder_ / "suite.yaml").string(),
                     "--db", db, "--workers", "2", "--progress", "none"},
                    "/usr/bin/env");
    const pid_t pid = program.pid();
    EXPECT_EQ(program.Wait(), code) << program.err();
    EXPECT_TRUE(std::filesystem::exists(db + ".workers.log"));  // there were some
    EXPECT_TRUE(testing::WaitUntil([&] { return WorkersOf(pid) == 0; }, 10)) << failure;
    Program list(folder_, "list", {"watch", "--db", db, "--json"});
    EXPECT_NE(list.Wait(), 0);
    EXPECT_NE(list.err().find("holds no run yet"), std::string::npos) << list.err();
  }
}

TEST_F(RunStartTest, AWorkerWithoutARunEnds) {
  Program worker(folder_, "worker", {"worker", "--coordinator", "-", "--engine", "null"});
  EXPECT_EQ(worker.Wait(), 5);
  EXPECT_NE(worker.err().find("standard input ended before it named a coordinator"),
            std::string::npos)
      << worker.err();
}

}  // namespace
}  // namespace h1bench

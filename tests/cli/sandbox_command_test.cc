#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "tests/cli/run_process.h"

namespace h1bench {
namespace {

using testing::Alive;
using testing::Program;
using testing::ReadText;
using testing::WaitUntil;

/// `pid` and all that descends from it.
void Descendants(pid_t pid, std::set<pid_t>& found) {
  found.insert(pid);
  std::istringstream list(
      ReadText("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children"));
  for (pid_t child = 0; list >> child;) Descendants(child, found);
}

// Killed at any moment, also while a jail is being made, h1bench leaves no process.
TEST(SlowSandboxCommand, AKilledJudgeLeavesNoProcess) {
  if (access("/usr/bin/bwrap", X_OK) != 0) GTEST_SKIP() << "needs bubblewrap";
  const auto folder = std::filesystem::temp_directory_path() / "h1bench-sandbox-command";
  std::filesystem::create_directories(folder);
  for (int i = 0; i < 6; ++i) {
    Program program(folder, "bench", {"sandbox", "--bench", "100000"});
    ASSERT_TRUE(WaitUntil([&] { return program.Children().size() == 2; }, 20)) << program.err();
    usleep(static_cast<useconds_t>(600000 + i * 7000));  // the short attacks, then any place
    std::set<pid_t> pids;
    for (const pid_t child : program.Children()) Descendants(child, pids);
    EXPECT_GT(pids.size(), 2U);
    program.Signal(SIGKILL);
    program.Wait();
    EXPECT_TRUE(WaitUntil(
        [&] {
          return std::none_of(pids.begin(), pids.end(), [](pid_t pid) { return Alive(pid); });
        },
        5));
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace h1bench

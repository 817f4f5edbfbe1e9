#include <sys/mount.h>

#include "tests/fault/driver.h"

/// Disks that fail, fill up, or give back other bytes than were written.
namespace h1bench::fault {
namespace {

class Disk : public FaultTest {
 protected:
  /// The N-th call of one kind fails, once and for ever, for N = first, first + step, ... until a
  /// run comes through untouched. A run that fails says so, acknowledges nothing that is not
  /// there, and is resumed.
  void FailEach(const std::string& call, const std::string& action, int first, int step, int most) {
    int failed = 0;
    for (int n = first; n < most; n += step) {
      const std::string failpoint = "io." + call + ":" + std::to_string(n) + "=" + action;
      SCOPED_TRACE(failpoint);
      const std::string name = call + action + std::to_string(n);
      setenv("H1BENCH_FAILPOINT", failpoint.c_str(), 1);
      Program run(
          folder_, name,
          std::vector<std::string>{"run", Suite().string(), "--engine", "null"} + Options(name));
      unsetenv("H1BENCH_FAILPOINT");
      const int code = run.Wait();
      ASSERT_LT(code, 128) << "it crashed: " << run.err();
      if (code != 0) {
        ++failed;
        EXPECT_NE(run.err().find(name + ".db"), std::string::npos)
            << "the message must name the file: " << run.err();
        const bool known = Number(Db(name), "SELECT count(*) FROM runs") == 1;
        const bool finished =
            Number(Db(name), "SELECT count(*) FROM runs WHERE state = 'finished'") == 1;
        if (!finished) {
          ASSERT_EQ(Finish(name, known ? std::vector<std::string>{"resume"}
                                       : std::vector<std::string>{"run", Suite().string()}),
                    0);
        }
      }
      ExpectCalm(name);
      std::filesystem::remove(Db(name));
      if (HasFailure()) return;
    }
    EXPECT_GT(failed, 0) << "no failure was felt";
  }

  /// A byte of the stopped database changes, anywhere: it is refused, and the message says which
  /// file
  /// and what to do; never another number.
  void FlipBytes(int times) {
    ASSERT_NO_FATAL_FAILURE(Calm(1));
    const std::string good = ReadText(Db("calm"));
    ASSERT_GT(good.size(), 100000U);
    for (int i = 0; i < times; ++i) {
      const auto at = static_cast<std::size_t>(Random(0, static_cast<int>(good.size()) - 1));
      SCOPED_TRACE("byte " + std::to_string(at));
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << Random(0, 7)));
      std::ofstream(Db("bad"), std::ios::binary | std::ios::trunc) << bad;
      Program report(folder_, "report",
                     {"report", "--db", Db("bad").string(), "--no-timing", "--format", "json"});
      const int code = report.Wait();
      if (code == 0) {  // a byte that SQLite does not look at
        EXPECT_EQ(report.out(), calm_.report);
        EXPECT_LT(at, 100U) << "outside of the file's header everything is looked at";
        continue;
      }
      EXPECT_LT(code, 128) << report.err();
      EXPECT_NE(report.err().find("bad.db"), std::string::npos) << report.err();
      if (at >= 100) {
        EXPECT_NE(report.err().find("damaged"), std::string::npos) << report.err();
      }
      if (i > 1) continue;
      Program resume(folder_, "resume", std::vector<std::string>{"resume"} + Options("bad"));
      EXPECT_NE(resume.Wait(), 0);
      EXPECT_NE(resume.err().find("damaged"), std::string::npos) << resume.err();
    }
  }
};
class SlowDisk : public Disk {};
class FullDisk : public Disk {};

TEST_F(SlowDisk, AWriteFails) {
  ASSERT_NO_FATAL_FAILURE(Calm(1));
  FailEach("write", "error", 60, 100, 100);
  FailEach("full", "sticky", 90, 100, 100);
}
TEST_F(FullDisk, EachCallFailsOnce) {
  ASSERT_NO_FATAL_FAILURE(Calm(1));
  for (const char* call : {"write", "full", "sync", "read"})
    FailEach(call, "error", 1, std::string(call) == "write" ? 9 : 7, 400);
}
TEST_F(FullDisk, EachCallFailsForEver) {
  ASSERT_NO_FATAL_FAILURE(Calm(1));
  for (const char* call : {"write", "full", "sync", "read"}) FailEach(call, "sticky", 1, 11, 400);
}

TEST_F(SlowDisk, AByteOfTheDatabaseIsFlipped) { FlipBytes(8); }
TEST_F(FullDisk, AByteOfTheDatabaseIsFlipped) { FlipBytes(300); }

/// The log of a killed coordinator is cut or changed: what comes out is what was committed before.
TEST_F(FullDisk, TheLogOfAKilledRunIsDamaged) {
  ASSERT_NO_FATAL_FAILURE(Calm(1));
  setenv("H1BENCH_FAILPOINT", "submit.before_ack:3=kill", 1);
  EXPECT_EQ(Finish("cut", {"run", Suite().string()}), 128 + SIGKILL);
  unsetenv("H1BENCH_FAILPOINT");
  const std::string log = ReadText(Db("cut").string() + "-wal");
  const std::string database = ReadText(Db("cut"));
  ASSERT_GT(log.size(), 20000U);
  for (int i = 0; i < 20; ++i) {
    std::string bad = log;
    const auto at = static_cast<std::size_t>(Random(32, static_cast<int>(log.size()) - 1));
    SCOPED_TRACE((i % 2 == 0 ? "cut at " : "changed at ") + std::to_string(at));
    if (i % 2 == 0)
      bad.resize(at);
    else
      bad[at] = static_cast<char>(bad[at] ^ 64);
    std::ofstream(Db("bad"), std::ios::binary | std::ios::trunc) << database;
    std::ofstream(Db("bad").string() + "-wal", std::ios::binary | std::ios::trunc) << bad;
    const bool known = Number(Db("bad"), "SELECT count(*) FROM runs") == 1;
    EXPECT_EQ(Finish("bad", known ? std::vector<std::string>{"resume"}
                                  : std::vector<std::string>{"run", Suite().string()}),
              0);
    ExpectCalm("bad");
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(Db("bad").string() + end);
  }
}

/// A real file system that is too small. Needs the right to mount.
TEST_F(SlowDisk, ASmallFileSystemFillsUp) {
  ASSERT_NO_FATAL_FAILURE(Calm(1));
  const std::filesystem::path small = folder_ / "small";
  std::filesystem::create_directory(small);
  if (mount("tmpfs", small.c_str(), "tmpfs", 0, "size=300k") != 0)
    GTEST_SKIP() << "mounting a small tmpfs needs root; the VFS shim (io.full) stands in";
  const auto run = [&](const std::string& name, const char* command) {
    std::vector<std::string> arguments = {command};
    if (std::string(command) == "run") arguments.push_back(Suite().string());
    return std::make_unique<Program>(
        folder_, name,
        arguments + std::vector<std::string>{"--db", (small / "run.db").string(), "--progress",
                                             "none", "--json", "--engine", "null"});
  };
  auto full = run("full", "run");
  EXPECT_NE(full->Wait(), 0);
  EXPECT_NE(full->err().find("full"), std::string::npos) << full->err();
  EXPECT_NE(full->err().find("Free some space"), std::string::npos) << full->err();
  EXPECT_EQ(mount("tmpfs", small.c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);
  const bool known = Number(small / "run.db", "SELECT count(*) FROM runs") == 1;
  auto resumed = run("resumed", known ? "resume" : "run");
  EXPECT_EQ(resumed->Wait(), 0) << resumed->err();
  EXPECT_EQ(Differences(calm_, Look(small / "run.db")), std::vector<std::string>{});
  EXPECT_EQ(umount(small.c_str()), 0);
}

}  // namespace
}  // namespace h1bench::fault

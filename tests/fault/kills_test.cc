#include "harness/store/vfs.h"
#include "tests/fault/driver.h"

/// Processes that are killed or stopped.
namespace h1bench::fault {
namespace {

class Kills : public FaultTest {
 protected:
  /// Kills workers at random until `kills` are dead, over as many runs as that takes.
  void KillWorkers(int kills, int repeats) {
    ASSERT_NO_FATAL_FAILURE(Calm(repeats));
    int dead = 0;
    for (int round = 0; dead < kills; ++round) {
      ASSERT_LT(round, 5 + kills) << "the runs end before anybody is killed";
      const std::string name = "killed" + std::to_string(round);
      Program run(folder_, name,
                  std::vector<std::string>{"run", Suite().string(), "--workers", "3", "--engine",
                                           "null", "--null-delay-ms", "4"} +
                      Options(name));
      while (!run.Ended() && dead < kills) {
        Sleep(Random(20, 250));
        dead += KillOne(run, name) ? 1 : 0;
      }
      EXPECT_EQ(run.Wait(), 0) << run.err();
      ExpectCalm(name);
      if (HasFailure()) return;
    }
    RecordProperty("kills", std::to_string(dead));
  }

  bool KillOne(Program& run, const std::string& name) {
    const std::vector<pid_t> workers = run.Workers();
    if (workers.empty()) return false;
    const pid_t worker = workers[static_cast<std::size_t>(Random(0, 1000)) % workers.size()];
    // Without an answer in between, six deaths are no bad luck any more but a broken worker.
    const std::int64_t answered = Answered(name);
    if (answered < 0 || answered == answered_at_kill_) return false;
    kill(worker, SIGSTOP);
    Sleep(40);  // what it had asked for is granted now
    if (Brittle(name)) return kill(worker, SIGCONT) != 0;
    answered_at_kill_ = answered;
    return kill(worker, SIGKILL) == 0;
  }

  /// Kills the coordinator `kills` times; after each, another number of workers goes on.
  void KillCoordinator(int kills) {
    ASSERT_NO_FATAL_FAILURE(Calm(1));
    int dead = 0;
    for (int round = 0; dead < kills; ++round) {
      ASSERT_LT(round, 5 + kills) << "the runs end before anybody is killed";
      const std::string name = "cut" + std::to_string(round);
      std::vector<std::string> command = {"run", Suite().string()};
      while (true) {
        Program run(folder_, name,
                    command + Options(name) +
                        std::vector<std::string>{"--engine", "null", "--null-delay-ms", "4",
                                                 "--workers", std::to_string(Random(1, 3))});
        const bool started = WaitUntil([&] { return run.Ended() || Answered(name) >= 0; }, 30);
        ASSERT_TRUE(started);
        if (dead < kills && !run.Ended()) {
          Sleep(Random(0, 700));
          run.Signal(SIGKILL);
        }
        const int code = run.Wait();
        if (code == 0) break;
        ASSERT_EQ(code, 128 + SIGKILL) << run.err();
        ++dead;
        // Killed behind the run's end, while the report was written: nothing is left to resume.
        if (Number(Db(name), "SELECT count(*) FROM runs WHERE state = 'finished'") == 1) break;
        // Killed before the plan was stored: there is nothing to resume yet.
        if (Number(Db(name), "SELECT count(*) FROM runs") == 1) command = {"resume"};
      }
      ExpectCalm(name);
      if (HasFailure()) return;
    }
    RecordProperty("kills", std::to_string(dead));
  }

  /// Stops a worker for three lease times and lets it go on, `times` times.
  void Pause(int times) {
    ASSERT_NO_FATAL_FAILURE(Calm(1));
    constexpr int kTtl = 500;
    for (int i = 0; i < times; ++i) {
      const std::string name = "paused" + std::to_string(i);
      Coordinator coordinator(folder_, Db(name), kTtl);
      Program sleepy(folder_, "sleepy", coordinator.Worker("sleepy", 10));
      Program submit(folder_, "submit",
                     {"submit", Suite().string(), "--coordinator", coordinator.address(), "--watch",
                      "--json"});
      ASSERT_TRUE(WaitUntil([&] { return Answered(name) > Random(0, 60); }, kPatience));
      ASSERT_TRUE(StopWithLease(sleepy, name));
      Program awake(folder_, "awake", coordinator.Worker("awake", 10));
      Sleep(3 * kTtl);
      EXPECT_GT(Number(Db(name), "SELECT count(*) FROM leases WHERE state = 'lost'"), 0);
      sleepy.Signal(SIGCONT);
      EXPECT_EQ(submit.Wait(), 0) << submit.err();
      ExpectCalm(name);
      EXPECT_FALSE(sleepy.Ended()) << "it lives and is welcome to more work";
    }
  }

  /// Stops the only worker where it holds a lease.
  bool StopWithLease(Program& worker, const std::string& name) {
    return WaitUntil(
        [&] {
          worker.Signal(SIGSTOP);
          Sleep(40);
          if (Number(Db(name), "SELECT count(*) FROM leases WHERE state = 'open'") == 1)
            return true;
          worker.Signal(SIGCONT);
          return false;
        },
        kPatience);
  }

 private:
  std::int64_t answered_at_kill_ = -1;
};

class SlowKills : public Kills {};
class FullKills : public Kills {};

TEST_F(SlowKills, Workers) { KillWorkers(5, 4); }
TEST_F(FullKills, Workers) { KillWorkers(220, 12); }
TEST_F(SlowKills, Coordinator) { KillCoordinator(2); }
TEST_F(FullKills, Coordinator) { KillCoordinator(40); }
TEST_F(SlowKills, PausedPastTheLease) { Pause(1); }
TEST_F(FullKills, PausedPastTheLease) { Pause(20); }

/// The checker sees what it is there for.
TEST_F(SlowKills, TheCheckerSeesDamage) {
  ASSERT_NO_FATAL_FAILURE(Calm());
  const auto damaged = [&](const std::string& sql) {
    std::filesystem::copy_file(Db("calm"), Db("bad"),
                               std::filesystem::copy_options::overwrite_existing);
    sqlite3* handle = nullptr;
    // Through our VFS: page checksums would notice first.
    EXPECT_EQ(RegisterVfs(), SQLITE_OK);
    EXPECT_EQ(sqlite3_open_v2(Db("bad").c_str(), &handle, SQLITE_OPEN_READWRITE, kVfsName),
              SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(handle);
    sqlite3_close(handle);
    return !Differences(calm_, Look(Db("bad"))).empty();
  };
  EXPECT_FALSE(damaged("SELECT 1"));
  EXPECT_TRUE(damaged("DELETE FROM responses WHERE key = (SELECT min(key) FROM responses)"));
  EXPECT_TRUE(damaged("DELETE FROM scores WHERE sample_id = 3"));
  EXPECT_TRUE(
      damaged("DELETE FROM scores WHERE sample_id = 3; DELETE FROM lease_samples WHERE "
              "sample_id = 3; DELETE FROM samples WHERE id = 3"));
  EXPECT_TRUE(damaged("UPDATE samples SET repeat = 9 WHERE id = 3"));
  EXPECT_TRUE(damaged("UPDATE responses SET text = text || '1' WHERE text <> ''"));
  EXPECT_TRUE(
      damaged("INSERT INTO divergence (key, sample_id, worker, payload) VALUES "
              "('k', 1, 'w', 'p')"));
}

}  // namespace
}  // namespace h1bench::fault

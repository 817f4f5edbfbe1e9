#include "tests/fault/driver.h"

/// The coordinator dies, or its disk fails, at each named place (harness/store/failpoint.h).
namespace h1bench::fault {
namespace {

struct Place {
  const char* name;
  int most;      // so many times does the shortest run come by at least
  bool resumed;  // true: only an execution that resumes comes by
};

/// Every failpoint of the product. schema and plan come before there is anything to resume, report
/// after the end.
const std::vector<Place> kPlaces = {
    {"schema.before_commit", 1, false}, {"schema.after_commit", 1, false},
    {"plan.before_commit", 1, false},   {"plan.after_commit", 1, false},
    {"start.leases_revoked", 1, true},  {"start.queued", 1, true},
    {"lease.before_commit", 6, false},  {"lease.after_commit", 6, false},
    {"submit.before_commit", 6, false}, {"submit.after_commit", 6, false},
    {"submit.before_ack", 6, false},    {"scores.before_commit", 2, false},
    {"scores.after_commit", 2, false},  {"revoke.before_commit", 1, true},
    {"revoke.after_commit", 1, true},   {"tick", 3, false},
    {"finish.before_commit", 1, false}, {"finish.after_commit", 1, false},
    {"report.half_written", 1, false}};

class Failpoints : public FaultTest {
 protected:
  /// Stops all workers where at least one holds a lease.
  bool StopWithLease(Program& program, const std::string& name) {
    for (const pid_t worker : program.Workers()) kill(worker, SIGSTOP);
    Sleep(40);
    if (Number(Db(name), "SELECT count(*) FROM leases WHERE state = 'open'") > 0) return true;
    for (const pid_t worker : program.Workers()) kill(worker, SIGCONT);
    return false;
  }
  int Execute(const std::string& name, const std::string& failpoint, std::string& error) {
    const bool known = Number(Db(name), "SELECT count(*) FROM runs") == 1;
    // Scores are saved every quarter of a second.
    const char* delay = failpoint.rfind("scores", 0) == 0 ? "20" : "1";
    if (!failpoint.empty()) setenv("H1BENCH_FAILPOINT", failpoint.c_str(), 1);
    Program program(folder_, name,
                    (known ? std::vector<std::string>{"resume"}
                           : std::vector<std::string>{"run", Suite().string()}) +
                        Options(name) +
                        std::vector<std::string>{"--engine", "null", "--null-delay-ms", delay,
                                                 "--workers", std::to_string(Random(1, 3))});
    unsetenv("H1BENCH_FAILPOINT");
    // A worker's death makes the coordinator revoke a lease.
    if (failpoint.rfind("revoke", 0) == 0) {
      WaitUntil([&] { return program.Ended() || StopWithLease(program, name); }, kPatience);
      for (const pid_t worker : program.Workers()) kill(worker, SIGKILL);
    }
    const int code = program.Wait();
    error = program.err();
    return code;
  }

  void Hit(const Place& place, const char* action, int round) {
    const std::string failpoint =
        std::string(place.name) + ":" + std::to_string(Random(1, place.most)) + "=" + action;
    SCOPED_TRACE(failpoint + " round " + std::to_string(round));
    const std::string name = std::string(place.name) + action + std::to_string(round);
    std::string error;
    const bool killed = std::string(action) == "kill";
    if (place.resumed && std::string(place.name).rfind("start", 0) == 0) {
      // Something to resume: half of the answers.
      ASSERT_EQ(Execute(name, "submit.before_ack:2=kill", error), 128 + SIGKILL) << error;
    }
    const int code = Execute(name, failpoint, error);
    if (killed) {
      ASSERT_EQ(code, 128 + SIGKILL) << error;
    } else {
      ASSERT_NE(code, 0) << "a failure was swallowed";
      ASSERT_LT(code, 128) << error;
      ASSERT_NE(error.find("failpoint"), std::string::npos) << error;
    }
    if (Number(Db(name), "SELECT count(*) FROM runs WHERE state = 'finished'") != 1) {
      ASSERT_EQ(Execute(name, "", error), 0) << error;
    }
    ExpectCalm(name);
    std::filesystem::remove(Db(name));
  }

  void HitAll(const char* action, int rounds, std::size_t step) {
    ASSERT_NO_FATAL_FAILURE(Calm(1));
    for (int round = 0; round < rounds; ++round) {
      for (std::size_t i = 0; i < kPlaces.size(); i += step) {
        Hit(kPlaces[i], action, round);
        if (HasFailure()) return;
      }
    }
  }
};

class SlowFailpoints : public Failpoints {};
class FullFailpoints : public Failpoints {};

TEST_F(SlowFailpoints, SomeKill) { HitAll("kill", 1, 8); }
TEST_F(FullFailpoints, EachKillsTwentyTimes) { HitAll("kill", 20, 1); }
TEST_F(FullFailpoints, EachIsAnError) { HitAll("error", 3, 1); }

/// A fault while recovering from a fault.
TEST_F(FullFailpoints, KilledAgainAndAgain) {
  ASSERT_NO_FATAL_FAILURE(Calm(2));
  int total = 0;
  for (int round = 0; round < 10; ++round) {
    const std::string name = "again" + std::to_string(round);
    std::string error;
    int deaths = 0;
    for (; deaths < 200; ++deaths) {
      const Place& place = kPlaces[static_cast<std::size_t>(Random(2, 17))];
      if (Execute(name, std::string(place.name) + ":" + std::to_string(Random(1, 3)) + "=kill",
                  error) == 0)
        break;
      if (Number(Db(name), "SELECT count(*) FROM runs WHERE state = 'finished'") == 1) break;
    }
    total += deaths;
    EXPECT_LT(deaths, 200) << "it makes no headway";
    ExpectCalm(name);
  }
  EXPECT_GT(total, 10);
}

/// The list above is the list in the sources.
TEST(FailpointsTest, TheListIsComplete) {
  std::string all;
  for (const char* folder : {"harness", "cli"}) {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(testing::SourceDir() / folder)) {
      if (entry.path().extension() == ".cc" && entry.path().stem() != "vfs")  // disk_test.cc
        all += ReadText(entry.path());
    }
  }
  std::size_t found = 0;
  const auto count = [&](const std::string& text) {
    for (std::size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1))
      ++found;
  };
  count("InTransaction(\"");
  found *= 2;
  count("Failpoint(\"");
  EXPECT_EQ(found, kPlaces.size());
}

TEST(FailpointsTest, ASettingThatIsNoneEndsTheProgram) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path();
  setenv("H1BENCH_FAILPOINT", "tick:x=kill", 1);
  Program program(folder, "h1bench-failpoint",
                  {"coordinator", "--db", (folder / "h1bench-failpoint.db").string(), "--listen",
                   "127.0.0.1:0", "--engine", "null"});
  unsetenv("H1BENCH_FAILPOINT");
  EXPECT_EQ(program.Wait(), 2);
  EXPECT_NE(program.err().find("tick:x=kill"), std::string::npos) << program.err();
  std::filesystem::remove(folder / "h1bench-failpoint.db");
}

}  // namespace
}  // namespace h1bench::fault

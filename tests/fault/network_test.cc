#include "tests/fault/driver.h"
#include "tests/fault/proxy.h"

/// Answers that get lost, calls that come twice, connections that carry nothing, names that two
/// processes claim, coordinators that come back.
namespace h1bench::fault {
namespace {

class Network : public FaultTest {
 protected:
  std::vector<std::string> WorkerAt(const std::string& address, const std::string& name,
                                    int delay_ms) const {
    return {"worker",          "--coordinator",         address, "--name", name, "--engine", "null",
            "--null-delay-ms", std::to_string(delay_ms)};
  }
  std::vector<std::string> Submit(const std::string& address) const {
    return {"submit", Suite().string(), "--coordinator", address, "--watch", "--json"};
  }
  /// A coordinator whose run two workers answer through `proxy`. Returns whether it ended.
  void LoseAnswers(int losses, bool twice) {
    ASSERT_NO_FATAL_FAILURE(Calm(1));
    Coordinator coordinator(folder_, Db("lossy"), 1500);
    CallProxy proxy(coordinator.address(), losses, twice);
    Program one(folder_, "one", WorkerAt(proxy.address(), "one", 10));
    Program two(folder_, "two", WorkerAt(proxy.address(), "two", 450));  // submits parts
    Program submit(folder_, "submit", Submit(coordinator.address()));
    ASSERT_TRUE(WaitUntil([&] { return submit.Ended(); }, 60))
        << "the run hangs: " << submit.err() << one.err() << two.err();
    EXPECT_EQ(submit.Wait(), 0) << submit.err();
    one.Signal(SIGTERM);
    two.Signal(SIGTERM);
    EXPECT_EQ(one.Wait(), 0) << one.err();
    EXPECT_EQ(two.Wait(), 0) << two.err();
    for (const char* call : {"Register", "Lease", "Heartbeat", "Submit last"})
      EXPECT_EQ(proxy.lost()[call], losses) << call;
    for (const char* call : {"Submit", "Drain"})  // slow shards only; once a worker
      EXPECT_GE(proxy.lost()[call], std::min(losses, 1)) << call;
    EXPECT_EQ(Number(Db("lossy"), "SELECT max(losses) FROM samples"), 0)
        << "nobody died, and a loss was counted";
    ExpectCalm("lossy");
  }
};
class SlowNetwork : public Network {};
class FullNetwork : public Network {};

TEST_F(SlowNetwork, OneAnswerOfEachCallIsLost) { LoseAnswers(1, false); }
TEST_F(FullNetwork, FiveAnswersOfEachCallAreLost) { LoseAnswers(5, false); }
TEST_F(FullNetwork, EveryCallComesTwice) { LoseAnswers(0, true); }

/// People's calls, too. A suite that was submitted once is one run, however often the call came.
TEST_F(SlowNetwork, OneAnswerOfEachCallOfPeopleIsLost) {
  ASSERT_NO_FATAL_FAILURE(Calm(1));
  for (const bool cancelled : {true, false}) {
    const std::string name = cancelled ? "cancelled" : "people";
    Coordinator coordinator(folder_, Db(name), 3000);
    RunsProxy proxy(coordinator.address());
    std::vector<std::string> arguments = Submit(proxy.address());
    if (cancelled) std::erase(arguments, "--watch");
    std::unique_ptr<Program> worker;
    if (!cancelled)
      worker = std::make_unique<Program>(folder_, "one", WorkerAt(coordinator.address(), "one", 5));
    Program submit(folder_, "submit", arguments);
    EXPECT_EQ(submit.Wait(), 0) << submit.err();
    EXPECT_EQ(proxy.calls()["CreateRun"], 2);
    EXPECT_EQ(proxy.calls()["ListRuns"], 2);
    EXPECT_EQ(Number(Db(name), "SELECT count(*) FROM runs"), 1) << "one suite, two runs";
    if (cancelled) {
      Program cancel(folder_, "cancel", {"cancel", "1", "--coordinator", proxy.address()});
      EXPECT_EQ(cancel.Wait(), 0) << cancel.err();
      EXPECT_EQ(proxy.calls()["CancelRun"], 2);
      EXPECT_EQ(Number(Db(name), "SELECT count(*) FROM runs WHERE state = 'cancelled'"), 1);
    } else {
      EXPECT_GE(proxy.calls()["WatchRun"], 2);
      ExpectCalm(name);
    }
  }
}

TEST_F(FullNetwork, ABlackHole) {
  ASSERT_NO_FATAL_FAILURE(Calm(1));
  Coordinator coordinator(folder_, Db("hole"), 1000);
  TcpProxy proxy(coordinator.address());
  Program cut_off(folder_, "cut", WorkerAt(proxy.address(), "cut-off", 30));
  Program submit(folder_, "submit", Submit(coordinator.address()));
  ASSERT_TRUE(WaitUntil([&] { return Answered("hole") > 0; }, kPatience));
  proxy.Blackhole();
  const auto since = std::chrono::steady_clock::now();
  Program other(folder_, "other", WorkerAt(coordinator.address(), "other", 5));
  EXPECT_EQ(submit.Wait(), 0) << submit.err();
  ExpectCalm("hole");
  EXPECT_EQ(cut_off.Wait(), 5) << cut_off.err();
  const std::chrono::duration<double> lived = std::chrono::steady_clock::now() - since;
  EXPECT_LT(lived.count(), 14) << "a worker that hears nothing must leave";
}

TEST_F(SlowNetwork, TwoWorkersOfOneName) {
  ASSERT_NO_FATAL_FAILURE(Calm(1));
  Coordinator coordinator(folder_, Db("twins"), 3000);
  Program first(folder_, "first", WorkerAt(coordinator.address(), "twin", 10));
  Program submit(folder_, "submit", Submit(coordinator.address()));
  ASSERT_TRUE(WaitUntil([&] { return Answered("twins") > 0; }, kPatience));
  Program second(folder_, "second", WorkerAt(coordinator.address(), "twin", 10));
  EXPECT_NE(first.Wait(), 0) << "the older of the two must leave";
  EXPECT_NE(first.err().find("another process registered as worker twin"), std::string::npos)
      << first.err();
  EXPECT_EQ(submit.Wait(), 0) << submit.err();
  EXPECT_FALSE(second.Ended());
  ExpectCalm("twins");
}

/// Workers outlive a coordinator that is back within nine seconds.
TEST_F(FullNetwork, ACoordinatorComesBack) {
  ASSERT_NO_FATAL_FAILURE(Calm(2));
  auto coordinator = std::make_unique<Coordinator>(folder_, Db("back"), 3000);
  const std::string address = coordinator->address();
  Program one(folder_, "one", WorkerAt(address, "one", 10));
  Program two(folder_, "two", WorkerAt(address, "two", 10));
  {
    Program submit(folder_, "submit", Submit(address));
    ASSERT_TRUE(WaitUntil([&] { return Answered("back") > 0; }, kPatience));
  }
  for (int deaths = 0; deaths < 3; ++deaths) {
    Sleep(Random(50, 600));
    coordinator->program().Signal(SIGKILL);
    coordinator->program().Wait();
    coordinator = std::make_unique<Coordinator>(folder_, Db("back"), 3000, address);
    ASSERT_EQ(coordinator->address(), address);
  }
  EXPECT_TRUE(WaitUntil(
      [&] { return Number(Db("back"), "SELECT count(*) FROM runs WHERE state = 'finished'") == 1; },
      kPatience));
  EXPECT_FALSE(one.Ended()) << one.err();
  EXPECT_FALSE(two.Ended()) << two.err();
  ExpectCalm("back");
}

}  // namespace
}  // namespace h1bench::fault

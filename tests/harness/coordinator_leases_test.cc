#include <gtest/gtest.h>

#include "harness/coordinator/coordinator.h"
#include "tests/fakes/fake_clock.h"
#include "tests/harness/coordinator_fixture.h"

namespace h1bench {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Answer;
using testing::StoredRun;

/// A coordinator without network, a clock that moves by hand and workers that are a few calls.
class LeasesTest : public ::testing::Test {
 protected:
  void Start(int samples) {
    run_ = std::make_unique<StoredRun>(samples);
    MakeCoordinator();
    StartRun();
  }
  /// A new coordinator over the same store, with no run.
  void MakeCoordinator() {
    core_ = std::make_unique<Coordinator>(run_->store(), clock_, CoordinatorOptions(),
                                          [this](ScoreJob job) {
                                            scored_.push_back(job.sample_id);
                                            if (scoring_) return;
                                            core_->AddScore({job.run, job.sample_id, std::nullopt});
                                          });
  }
  void StartRun() {
    ASSERT_TRUE(core_->StartRun(run_->run(), "engine", std::make_shared<TaskSet>()).ok());
  }

  Status Register(const std::string& name, const std::string& incarnation,
                  const std::string& identity = "engine") {
    v1::RegisterRequest request;
    request.set_worker_name(name);
    request.set_incarnation(incarnation);
    request.set_identity(identity);
    request.set_environment_json("{}");
    v1::RegisterResponse response;
    return core_->Register(request, response);
  }

  /// Calls Lease; `answered` tells whether it was answered at once.
  v1::LeaseResponse Lease(const std::string& name, const std::string& incarnation,
                          Status* status = nullptr, bool* answered = nullptr) {
    auto box = std::make_shared<std::optional<std::pair<Status, v1::LeaseResponse>>>();
    LeaseCall call;
    call.request.set_worker_name(name);
    call.request.set_incarnation(incarnation);
    call.request.set_wait_ms(10'000);
    call.respond = [box](Status s, v1::LeaseResponse r) { *box = {s, std::move(r)}; };
    core_->AskLease(call);
    if (answered != nullptr) *answered = box->has_value();
    if (!box->has_value()) return {};
    if (status != nullptr) *status = (*box)->first;
    return (*box)->second;
  }

  Status Heartbeat(const std::string& name, const std::string& incarnation, std::int64_t lease,
                   bool* lost = nullptr) {
    v1::HeartbeatRequest request;
    request.set_worker_name(name);
    request.set_incarnation(incarnation);
    request.add_lease_ids(lease);
    v1::HeartbeatResponse response;
    const Status status = core_->Heartbeat(request, response);
    if (lost != nullptr) *lost = response.lost_lease_ids_size() > 0;
    return status;
  }

  Status Submit(const std::string& name, const std::string& incarnation,
                const v1::LeaseResponse& lease, bool last = true, int count = -1) {
    v1::SubmitRequest request;
    request.set_worker_name(name);
    request.set_incarnation(incarnation);
    request.set_lease_id(lease.lease_id());
    request.set_attempt(lease.attempt());
    request.set_last(last);
    request.set_probe(probe_);
    for (const v1::Request& asked : lease.requests()) {
      if (count >= 0 && request.responses_size() == count) break;
      *request.add_responses() = Answer(asked);
    }
    return core_->Submit(request);
  }

  std::size_t Pending() { return run_->store().PendingSamples(run_->run())->size(); }
  std::string State() { return run_->store().GetRun(run_->run())->state; }

  FakeClock clock_;
  std::unique_ptr<StoredRun> run_;
  std::unique_ptr<Coordinator> core_;
  std::string probe_ = "bits";
  std::vector<std::int64_t> scored_;
  bool scoring_ = false;  // scores stay on their way
};

TEST_F(LeasesTest, AnsweredWorkEndsTheRunAndTheWorkers) {
  Start(3);
  ASSERT_TRUE(Register("w", "1").ok());
  const v1::LeaseResponse lease = Lease("w", "1");
  ASSERT_EQ(lease.requests_size(), 3);
  EXPECT_EQ(lease.requests(1).context(), "prompt 1");
  EXPECT_EQ(lease.requests(1).continuations_size(), 2);
  ASSERT_TRUE(Submit("w", "1", lease).ok());
  EXPECT_EQ(scored_.size(), 3U);
  EXPECT_EQ(State(), "running");
  core_->Tick();
  EXPECT_EQ(State(), "finished");
  EXPECT_TRUE(Lease("w", "1").finished());
}

TEST_F(LeasesTest, SilenceEndsALeaseAndHeartbeatsKeepIt) {
  Start(1);
  ASSERT_TRUE(Register("a", "1").ok());
  ASSERT_TRUE(Register("b", "1").ok());
  const v1::LeaseResponse first = Lease("a", "1");
  bool answered = true;
  (void)Lease("b", "1", nullptr, &answered);
  EXPECT_FALSE(answered) << "the only sample was leased twice";
  for (int i = 0; i < 20; ++i) {  // 100 s of heartbeats every 5 s
    clock_.Advance(seconds(5));
    core_->Tick();
    ASSERT_TRUE(Heartbeat("a", "1", first.lease_id()).ok());
  }
  EXPECT_EQ(core_->workers_alive(), 1);  // b said nothing for 100 s; its poll is no sign of life
  clock_.Advance(milliseconds(29'999));
  core_->Tick();
  bool lost = true;
  {
    // Looking does not keep it: ask the store.
    EXPECT_EQ(run_->store().GetSample(1)->losses, 0);
  }
  clock_.Advance(milliseconds(1));
  core_->Tick();
  EXPECT_EQ(run_->store().GetSample(1)->losses, 1);
  ASSERT_TRUE(Heartbeat("a", "1", first.lease_id(), &lost).ok());
  EXPECT_TRUE(lost);
}

TEST_F(LeasesTest, LateAnswersOfAnExpiredLeaseAreRefused) {
  Start(1);
  ASSERT_TRUE(Register("slow", "1").ok());
  ASSERT_TRUE(Register("fast", "1").ok());
  const v1::LeaseResponse first = Lease("slow", "1");
  clock_.Advance(seconds(31));
  core_->Tick();
  const v1::LeaseResponse second = Lease("fast", "1");
  ASSERT_NE(second.lease_id(), 0);
  EXPECT_GT(second.attempt(), first.attempt());
  EXPECT_EQ(Submit("slow", "1", first).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Pending(), 1U) << "a stale answer was stored";
  // Nor may it borrow the new lease's number.
  v1::LeaseResponse forged = first;
  forged.set_lease_id(second.lease_id());
  EXPECT_EQ(Submit("slow", "1", forged).code(), StatusCode::kFailedPrecondition);
  v1::LeaseResponse stale_attempt = second;
  stale_attempt.set_attempt(first.attempt());
  EXPECT_EQ(Submit("fast", "1", stale_attempt).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Pending(), 1U);
  ASSERT_TRUE(Submit("fast", "1", second).ok());
  EXPECT_EQ(Pending(), 0U);
}

TEST_F(LeasesTest, SettingTheDateChangesNothing) {
  Start(1);
  ASSERT_TRUE(Register("w", "1").ok());
  const v1::LeaseResponse lease = Lease("w", "1");
  clock_.JumpWall(hours(24));
  core_->Tick();
  clock_.JumpWall(-hours(48));
  core_->Tick();
  EXPECT_TRUE(Submit("w", "1", lease).ok());
}

TEST_F(LeasesTest, ANewIncarnationFencesTheOldOneOff) {
  Start(2);
  ASSERT_TRUE(Register("w", "old").ok());
  const v1::LeaseResponse lease = Lease("w", "old");
  ASSERT_TRUE(Register("w", "new").ok());
  EXPECT_EQ(Heartbeat("w", "old", lease.lease_id()).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Submit("w", "old", lease).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Submit("w", "new", lease).code(), StatusCode::kFailedPrecondition)
      << "an old lease with a new incarnation";
  EXPECT_EQ(Pending(), 2U);
  EXPECT_EQ(Lease("w", "new").requests_size(), 2);
}

TEST_F(LeasesTest, RepeatedCallsAfterALostAnswerChangeNothing) {
  Start(2);
  ASSERT_TRUE(Register("w", "1").ok());
  ASSERT_TRUE(Register("w", "1").ok());
  const v1::LeaseResponse lease = Lease("w", "1");
  ASSERT_TRUE(Submit("w", "1", lease, false, 1).ok());
  ASSERT_TRUE(Submit("w", "1", lease, false, 1)
                  .ok());  // the acknowledgement got lost: the worker says it again
  EXPECT_EQ(*run_->store().Divergences(), 0);
  EXPECT_EQ(scored_.size(), 1U);
  ASSERT_TRUE(Submit("w", "1", lease).ok());
  EXPECT_EQ(Submit("w", "1", lease).code(),
            StatusCode::kFailedPrecondition);  // complete: nothing to hand in any more
  core_->Tick();
  EXPECT_EQ(State(), "finished");
}

TEST_F(LeasesTest, TheSampleThatKillsThreeWorkersIsGivenUpAloneAndTheRunEnds) {
  Start(40);
  const std::string killer = "prompt 17";
  int deaths = 0;
  for (int round = 0; round < 200 && State() == "running"; ++round) {
    const std::string incarnation = std::to_string(round);
    ASSERT_TRUE(Register("w", incarnation).ok());
    const v1::LeaseResponse lease = Lease("w", incarnation);
    if (lease.lease_id() == 0) break;
    bool dies = false;
    for (const v1::Request& request : lease.requests()) dies = dies || request.context() == killer;
    if (dies) {
      ++deaths;
      core_->WorkerLost("w");
    } else {
      ASSERT_TRUE(Submit("w", incarnation, lease).ok());
    }
    core_->Tick();
  }
  EXPECT_EQ(deaths, 3);
  EXPECT_EQ(State(), "finished");
  const std::vector<std::int64_t> poisoned = *run_->store().PoisonedSamples(run_->run());
  ASSERT_EQ(poisoned.size(), 1U) << "its neighbours were given up with it";
  EXPECT_EQ(run_->store().GetSample(poisoned[0])->prompt, killer);
  EXPECT_EQ(scored_.size(), 39U);
  EXPECT_EQ(core_->Progress(run_->run())->poisoned(), 1);
}

TEST_F(LeasesTest, LeavingCountsNoLoss) {
  Start(2);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(Register("w", std::to_string(i)).ok());
    ASSERT_EQ(Lease("w", std::to_string(i)).requests_size(), 2);
    v1::DrainRequest drain;
    drain.set_worker_name("w");
    drain.set_incarnation(std::to_string(i));
    ASSERT_TRUE(core_->Drain(drain).ok());
  }
  EXPECT_TRUE(run_->store().PoisonedSamples(run_->run())->empty());
}

TEST_F(LeasesTest, APollWaitsForWorkAndNoLongerThanItAsked) {
  Start(1);
  ASSERT_TRUE(Register("a", "1").ok());
  ASSERT_TRUE(Register("b", "1").ok());
  const v1::LeaseResponse held = Lease("a", "1");
  int answers = 0;
  v1::LeaseResponse last;
  const auto poll = [&] {
    LeaseCall call;
    call.request.set_worker_name("b");
    call.request.set_incarnation("1");
    call.request.set_wait_ms(10'000);
    call.respond = [&](const Status& status, const v1::LeaseResponse& r) {
      EXPECT_TRUE(status.ok());
      ++answers;
      last = r;
    };
    core_->AskLease(call);
  };
  poll();
  clock_.Advance(milliseconds(9'999));
  core_->Tick();
  EXPECT_EQ(answers, 0);
  clock_.Advance(milliseconds(1));
  core_->Tick();
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(last.lease_id(), 0);
  poll();
  core_->WorkerLost("a");  // its work goes to the one who waits, at once
  EXPECT_EQ(answers, 2);
  EXPECT_NE(last.lease_id(), 0);
  EXPECT_NE(last.lease_id(), held.lease_id());
}

TEST_F(LeasesTest, StrangersAndOtherEnginesGetNoWork) {
  Start(1);
  Status status;
  (void)Lease("nobody", "1", &status);
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  ASSERT_TRUE(Register("w", "1", "another build").ok());
  (void)Lease("w", "1", &status);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("another build"), std::string::npos);
  EXPECT_EQ(Register("", "1").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Register(std::string(300, 'x'), "1").code(), StatusCode::kInvalidArgument);
}

TEST_F(LeasesTest, AnswersWithAWrongKeyAreRefused) {
  Start(1);
  ASSERT_TRUE(Register("w", "1").ok());
  v1::LeaseResponse lease = Lease("w", "1");
  lease.mutable_requests(0)->set_key("another key");
  EXPECT_FALSE(Submit("w", "1", lease).ok());
  EXPECT_EQ(Pending(), 1U);
}

TEST_F(LeasesTest, AWorkerThatFailedItsSelfTestIsRefusedAndRecorded) {
  Start(1);
  v1::RegisterRequest request;
  request.set_worker_name("w");
  request.set_incarnation("bad");
  request.set_identity("engine");
  request.set_self_test_failure("probe 3: token 1 is 7, expected 8");
  for (int i = 0; i < 2; ++i) {  // the first answer got lost
    v1::RegisterResponse response;
    const Status refused = core_->Register(request, response);
    EXPECT_EQ(refused.code(), StatusCode::kCorrupt);
    EXPECT_NE(refused.message().find("probe 3: token 1 is 7"), std::string::npos);
  }
  Status status;
  (void)Lease("w", "bad", &status);
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  const auto failures = run_->store().Failures(run_->run());
  ASSERT_EQ(failures->size(), 1U);
  EXPECT_EQ(failures->at(0).worker, "w");
  const std::vector<std::string> told = {"w: probe 3: token 1 is 7, expected 8"};
  EXPECT_EQ(core_->failures(), told);
  EXPECT_EQ(core_->Progress(0)->failures(0), told[0]);
  // Another process of that name may be sound.
  ASSERT_TRUE(Register("w", "good").ok());
  EXPECT_TRUE(Submit("w", "good", Lease("w", "good")).ok());
}

TEST_F(LeasesTest, OtherBitsInTheProbesStoreNothing) {
  Start(3);
  ASSERT_TRUE(Register("one", "1").ok());
  ASSERT_TRUE(Register("two", "2").ok());
  const v1::LeaseResponse first = Lease("one", "1");
  probe_ = "";
  EXPECT_EQ(Submit("one", "1", first).message(),
            "Submit: probe: expected with the first answers for a variant");
  EXPECT_EQ(Pending(), 3U);
  probe_ = "bits";
  ASSERT_TRUE(Submit("one", "1", first, true, 1).ok());
  const v1::LeaseResponse second = Lease("two", "2");
  probe_ = "other bits";
  const Status refused = Submit("two", "2", second);
  EXPECT_EQ(refused.code(), StatusCode::kCorrupt);
  EXPECT_NE(refused.message().find("than worker one did"), std::string::npos);
  EXPECT_EQ(Pending(), 2U) << "its answers were taken";
  EXPECT_EQ(Submit("two", "2", second).code(), StatusCode::kNotFound);
  EXPECT_EQ(run_->store().Failures(run_->run())->size(), 1U);
  // Another coordinator over the same file holds a worker to the same bits.
  MakeCoordinator();
  StartRun();
  ASSERT_TRUE(Register("three", "3").ok());
  EXPECT_EQ(Submit("three", "3", Lease("three", "3")).code(), StatusCode::kCorrupt);
  probe_ = "bits";
  ASSERT_TRUE(Register("four", "4").ok());
  while (Pending() > 0) ASSERT_TRUE(Submit("four", "4", Lease("four", "4")).ok());
}

TEST_F(LeasesTest, AFailureBeforeTheRunIsStoredWithIt) {
  Start(1);
  MakeCoordinator();
  v1::RegisterRequest request;
  request.set_worker_name("w");
  request.set_incarnation("bad");
  request.set_self_test_failure("wrong");
  v1::RegisterResponse response;
  EXPECT_EQ(core_->Register(request, response).code(), StatusCode::kCorrupt);
  StartRun();
  ASSERT_EQ(run_->store().Failures(run_->run())->size(), 1U);
  EXPECT_EQ(run_->store().Failures(run_->run())->at(0).reason, "wrong");
}

TEST_F(LeasesTest, AfterAFailureNothingIsScored) {
  scoring_ = true;
  Start(1);
  ASSERT_TRUE(Register("w", "1").ok());
  ASSERT_TRUE(Submit("w", "1", Lease("w", "1")).ok());
  ASSERT_EQ(scored_.size(), 1U);
  ScoreResult impossible;
  impossible.run = run_->run();
  impossible.sample_id = 1;
  impossible.score = ScoreRow();
  impossible.score->sample_id = 999;  // there is none
  core_->AddScore(impossible);
  core_->Tick();
  EXPECT_FALSE(core_->fatal().ok());
  core_->Tick();
  EXPECT_EQ(scored_.size(), 1U);
}

TEST_F(LeasesTest, ACancelledRunTakesNothingMore) {
  Start(2);
  ASSERT_TRUE(Register("w", "1").ok());
  const v1::LeaseResponse lease = Lease("w", "1");
  ASSERT_TRUE(core_->CancelRun(run_->run()).ok());
  EXPECT_EQ(State(), "cancelled");
  EXPECT_TRUE(core_->CancelRun(run_->run()).ok()) << "the call may come twice";
  EXPECT_EQ(core_->CancelRun(99).code(), StatusCode::kNotFound);
  EXPECT_EQ(Submit("w", "1", lease).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Pending(), 2U);
}

}  // namespace
}  // namespace h1bench

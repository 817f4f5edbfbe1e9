// Leases that a worker asks for while it still works on others.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "harness/coordinator/coordinator.h"
#include "tests/fakes/fake_clock.h"
#include "tests/harness/coordinator_fixture.h"

namespace h1bench {
namespace {

using std::chrono::seconds;
using testing::StoredRun;

/// Samples of 10 tokens, in shards of about 50.
class AheadTest : public ::testing::Test {
 protected:
  void Start(int samples) {
    run_ = std::make_unique<StoredRun>(samples);
    variant_ = run_->store().Variants(run_->run())->at(0).id;
    core_ = std::make_unique<Coordinator>(run_->store(), clock_, CoordinatorOptions(),
                                          [this](const ScoreJob& job) {
                                            core_->AddScore({job.run, job.sample_id, std::nullopt});
                                          });
    ASSERT_TRUE(core_->StartRun(run_->run(), "engine", std::make_shared<TaskSet>()).ok());
  }

  void Register(const std::string& name, const std::string& incarnation = "1") {
    v1::RegisterRequest request;
    request.set_worker_name(name);
    request.set_incarnation(incarnation);
    request.set_identity("engine");
    v1::RegisterResponse response;
    ASSERT_TRUE(core_->Register(request, response).ok());
  }

  /// The answer to a Lease call that comes at once; empty where it has to wait.
  std::optional<v1::LeaseResponse> Ask(const std::string& name, std::vector<std::int64_t> held,
                                       const std::string& incarnation = "1") {
    auto answer = std::make_shared<std::optional<v1::LeaseResponse>>();
    LeaseCall call;
    call.request.set_worker_name(name);
    call.request.set_incarnation(incarnation);
    call.request.set_loaded_variant(loaded_ < 0 ? variant_ : loaded_);
    call.request.set_wait_ms(10'000);
    call.request.mutable_held_lease_ids()->Add(held.begin(), held.end());
    call.respond = [answer](const Status& status, v1::LeaseResponse response) {
      EXPECT_TRUE(status.ok()) << status.message();
      *answer = std::move(response);
    };
    core_->AskLease(call);
    return *answer;
  }

  Status Submit(const std::string& name, const v1::LeaseResponse& lease,
                const std::string& incarnation = "1") {
    v1::SubmitRequest request;
    request.set_worker_name(name);
    request.set_incarnation(incarnation);
    request.set_lease_id(lease.lease_id());
    request.set_attempt(lease.attempt());
    request.set_last(true);
    request.set_probe("bits");
    for (const v1::Request& asked : lease.requests())
      *request.add_responses() = testing::Answer(asked);
    return core_->Submit(request);
  }

  FakeClock clock_;
  std::unique_ptr<StoredRun> run_;
  std::unique_ptr<Coordinator> core_;
  std::int64_t variant_ = 0, loaded_ = -1;  // loaded_: what workers say; -1: the run's variant
};

TEST_F(AheadTest, AWorkerKeepsWhatItNamesAndLosesWhatItDoesNot) {
  Start(400);
  Register("w");
  const auto first = Ask("w", {});
  const auto second = Ask("w", {first->lease_id()});
  ASSERT_NE(second->lease_id(), 0);
  EXPECT_NE(second->lease_id(), first->lease_id());
  std::set<std::int64_t> samples;
  for (const auto& lease : {*first, *second})
    for (const v1::Request& request : lease.requests()) samples.insert(request.sample_id());
  EXPECT_EQ(samples.size(), static_cast<std::size_t>(first->requests_size()) +
                                static_cast<std::size_t>(second->requests_size()));
  // The answer with the second got lost: it asks again and does not name it.
  const auto third = Ask("w", {first->lease_id()});
  ASSERT_NE(third->lease_id(), 0);
  EXPECT_EQ(Submit("w", *second).code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Submit("w", *first).ok());
  EXPECT_TRUE(Submit("w", *third).ok());
  EXPECT_EQ(run_->store().GetSample(second->requests(0).sample_id())->losses, 0);
}

TEST_F(AheadTest, WhoStillHasWorkIsAnsweredAtOnce) {
  Start(20);  // one shard
  Register("w");
  const auto first = Ask("w", {});
  const auto none = Ask("w", {first->lease_id()});
  ASSERT_TRUE(none.has_value()) << "it waits although it has work";
  EXPECT_EQ(none->lease_id(), 0);
  EXPECT_FALSE(none->finished());
  EXPECT_TRUE(Submit("w", *first).ok());
  core_->Tick();
  EXPECT_TRUE(Ask("w", {})->finished());
}

TEST_F(AheadTest, NothingIsGivenAheadThatOthersNeed) {
  Start(200);  // four shards
  Register("a");
  Register("b");
  Register("c");
  const auto first = Ask("a", {});
  const auto ahead = Ask("a", {first->lease_id()});
  EXPECT_NE(ahead->lease_id(), 0);  // three were there, for three workers
  EXPECT_EQ(Ask("a", {first->lease_id(), ahead->lease_id()})->lease_id(), 0);
  EXPECT_NE(Ask("b", {})->lease_id(), 0);
  EXPECT_NE(Ask("c", {})->lease_id(), 0);
}

TEST_F(AheadTest, OnlyOfTheLoadedVariantAndNotWithoutEnd) {
  Start(2000);
  Register("w");
  std::vector<std::int64_t> held = {Ask("w", {})->lease_id()};
  loaded_ = variant_ + 1;
  EXPECT_EQ(Ask("w", held)->lease_id(), 0);
  loaded_ = -1;
  while (held.size() < 100) {
    const std::int64_t next = Ask("w", held)->lease_id();
    if (next == 0) break;
    held.push_back(next);
  }
  EXPECT_EQ(held.size(), 8U);
}

TEST_F(AheadTest, AllLeasesEndWithTheWorkersSilence) {
  Start(400);
  Register("w");
  const auto first = Ask("w", {});
  const auto second = Ask("w", {first->lease_id()});
  v1::HeartbeatRequest beat;
  beat.set_worker_name("w");
  beat.set_incarnation("1");
  beat.add_lease_ids(first->lease_id());
  beat.add_lease_ids(second->lease_id());
  clock_.Advance(seconds(20));
  core_->Tick();
  v1::HeartbeatResponse kept;
  ASSERT_TRUE(core_->Heartbeat(beat, kept).ok());
  EXPECT_EQ(kept.lost_lease_ids_size(), 0);
  clock_.Advance(seconds(31));
  core_->Tick();
  v1::HeartbeatResponse lost;
  ASSERT_TRUE(core_->Heartbeat(beat, lost).ok());
  EXPECT_EQ(lost.lost_lease_ids_size(), 2);
  EXPECT_EQ(Submit("w", *second).code(), StatusCode::kFailedPrecondition);
}

/// Workers that always ask ahead: the sample that kills them is found, and nothing that was in the
/// same worker's hands is given up with it.
TEST_F(AheadTest, TheSampleThatKillsIsGivenUpAloneAlthoughWorkersAskAhead) {
  Start(400);
  const std::string killer = "prompt 217";
  const auto kills = [&](const v1::LeaseResponse& lease) {
    return std::ranges::any_of(
        lease.requests(), [&](const v1::Request& request) { return request.context() == killer; });
  };
  int deaths = 0, given_ahead = 0;
  for (int round = 0; round < 300; ++round) {
    if (run_->store().GetRun(run_->run())->state != "running") break;
    const std::string incarnation = std::to_string(round);
    Register("w", incarnation);
    const auto first = Ask("w", {}, incarnation);
    if (!first || first->lease_id() == 0) break;
    const auto ahead = Ask("w", {first->lease_id()}, incarnation);
    if (ahead->lease_id() != 0) ++given_ahead;
    if (kills(*first) || kills(*ahead)) {
      ++deaths;
      core_->WorkerLost("w");
    } else {
      ASSERT_TRUE(Submit("w", *first, incarnation).ok());
      if (ahead->lease_id() != 0) {
        ASSERT_TRUE(Submit("w", *ahead, incarnation).ok());
      }
    }
    core_->Tick();
  }
  EXPECT_EQ(deaths, 3);
  EXPECT_GT(given_ahead, 0);
  EXPECT_EQ(run_->store().GetRun(run_->run())->state, "finished");
  const std::vector<std::int64_t> poisoned = *run_->store().PoisonedSamples(run_->run());
  ASSERT_EQ(poisoned.size(), 1U) << "its neighbours were given up with it";
  EXPECT_EQ(run_->store().GetSample(poisoned[0])->prompt, killer);
}

}  // namespace
}  // namespace h1bench

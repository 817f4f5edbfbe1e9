// Scores are saved together, and none is lost by that.
#include <gtest/gtest.h>

#include "harness/store/sqlite.h"
#include "tests/fakes/fake_clock.h"
#include "tests/harness/coordinator_fixture.h"

namespace h1bench {
namespace {

using testing::StoredRun;

class ScoresTest : public ::testing::Test {
 protected:
  /// Ten samples, all answered by one worker, none scored yet.
  void SetUp() override {
    core_ = std::make_unique<Coordinator>(run_.store(), clock_, CoordinatorOptions(),
                                          [this](ScoreJob job) { jobs_.push_back(job.sample_id); });
    ASSERT_TRUE(core_->StartRun(run_.run(), "engine", std::make_shared<TaskSet>()).ok());
    v1::RegisterRequest hello;
    hello.set_worker_name("w");
    hello.set_incarnation("1");
    hello.set_identity("engine");
    v1::RegisterResponse welcome;
    ASSERT_TRUE(core_->Register(hello, welcome).ok());
    v1::LeaseResponse lease;
    LeaseCall call;
    call.request.set_worker_name("w");
    call.request.set_incarnation("1");
    call.respond = [&](const Status&, v1::LeaseResponse response) { lease = std::move(response); };
    core_->AskLease(call);
    ASSERT_EQ(lease.requests_size(), 10);
    v1::SubmitRequest submit;
    submit.set_worker_name("w");
    submit.set_incarnation("1");
    submit.set_lease_id(lease.lease_id());
    submit.set_attempt(lease.attempt());
    submit.set_last(true);
    submit.set_probe("bits");
    for (const v1::Request& request : lease.requests())
      *submit.add_responses() = testing::Answer(request);
    ASSERT_TRUE(core_->Submit(submit).ok());
    ASSERT_EQ(jobs_.size(), 10U);
  }
  void Score(std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i) {
      ScoreRow row;
      row.sample_id = jobs_[i];
      row.version = kScorerVersion;
      row.scores = {{"acc", 1}};
      core_->AddScore({run_.run(), jobs_[i], row});
    }
  }
  /// Of the run's samples, how many have no score in the database.
  int Unsaved() {
    int count = 0;
    EXPECT_TRUE(run_.store()
                    .ForEachUnscored(run_.run(), kScorerVersion,
                                     [&](const SampleRow&, const ResponseRow*) {
                                       ++count;
                                       return Status::Ok();
                                     })
                    .ok());
    return count;
  }

  FakeClock clock_;
  StoredRun run_{10};
  std::unique_ptr<Coordinator> core_;
  std::vector<std::int64_t> jobs_;
};

TEST_F(ScoresTest, TheyWaitForEachOtherButNotLong) {
  Score(0, 4);
  core_->Tick();
  EXPECT_EQ(Unsaved(), 10);
  clock_.Advance(std::chrono::milliseconds(250));
  core_->Tick();
  EXPECT_EQ(Unsaved(), 6);
  EXPECT_EQ(core_->Progress(run_.run())->cells(0).scored(), 4);
}

TEST_F(ScoresTest, TheLastOnesEndTheRunAtOnce) {
  Score(0, 10);
  core_->Tick();
  EXPECT_EQ(Unsaved(), 0);
  EXPECT_EQ(core_->Progress(run_.run())->state(), "finished");
}

TEST_F(ScoresTest, AShutdownSavesThem) {
  Score(0, 4);
  core_->Shutdown();
  EXPECT_EQ(Unsaved(), 6);
  Score(4, 1);  // was on its way
  EXPECT_EQ(Unsaved(), 5);
}

TEST_F(ScoresTest, ACancelSavesThem) {
  Score(0, 4);
  ASSERT_TRUE(core_->CancelRun(run_.run()).ok());
  EXPECT_EQ(Unsaved(), 6);
}

/// A compiled query is kept for the next time, and never shared by two at once.
TEST(StatementsTest, TheSameTextTwiceAtATime) {
  const auto database = Database::Open(":memory:", false).value();
  ASSERT_TRUE(
      database->Execute("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2), (3)").ok());
  constexpr const char* kText = "SELECT a FROM t WHERE a >= ? ORDER BY a";
  for (int round = 0; round < 3; ++round) {
    Statement first = database->Prepare(kText).value();
    Statement second = database->Prepare(kText).value();
    ASSERT_TRUE(first.Bind(1, std::int64_t{1}).Step().value());
    ASSERT_TRUE(second.Bind(1, std::int64_t{3}).Step().value());
    EXPECT_EQ(first.Int(0), 1);
    EXPECT_EQ(second.Int(0), 3);
    ASSERT_TRUE(first.Step().value());
    EXPECT_EQ(first.Int(0), 2);  // left in the middle
  }
  // Bindings do not stay: NULL is greater than nothing.
  EXPECT_FALSE(database->Prepare(kText)->Step().value());
}

}  // namespace
}  // namespace h1bench

// The time left, from what was expected before the start and what came of it.
#include <gtest/gtest.h>

#include "tests/fakes/fake_clock.h"
#include "tests/harness/coordinator_fixture.h"

namespace h1bench {
namespace {

using std::chrono::milliseconds;
using testing::StoredRun;

constexpr int kSamples = 100;

/// A cell of 100 samples, 10 cost each: half a second of prompt, and 20 tokens of 25 ms; 100 s in
/// all, on one worker, after 10 s of loading.
class EtaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    counter_ = std::make_unique<ProgressCounter>();
    ASSERT_TRUE(counter_->Scan(run_.store(), run_.run()).ok());
    pending_ = run_.store().PendingSamples(run_.run()).value();
    RunEstimate estimate;
    estimate.seconds = 110;
    estimate.load_seconds = 10;
    estimate.parallel = 1;
    estimate.cells[{pending_[0].variant_id, pending_[0].run_task_id}] = {0.05, 0.025, 20};
    started_ = clock_.Steady();
    counter_->Expect(estimate, started_);
  }
  double Left(const std::vector<ProgressCounter::InFlight>& in_flight = {}) {
    v1::RunProgress progress;
    counter_->Describe(progress, clock_.Steady(), in_flight);
    EXPECT_EQ(progress.expected_seconds(), 110);
    EXPECT_EQ(progress.cells_size(), 1);
    return progress.eta_seconds();
  }
  void Answer(int count, std::int64_t tokens) {
    for (int i = 0; i < count; ++i) {
      ResponseRow response;
      response.generated_tokens = tokens;
      counter_->Answered(pending_[next_++], response, clock_.Steady());
    }
  }
  void Pass(double seconds) {
    clock_.Advance(milliseconds(static_cast<std::int64_t>(seconds * 1000)));
  }

  FakeClock clock_;
  StoredRun run_{kSamples};
  std::unique_ptr<ProgressCounter> counter_;
  std::vector<SampleRow> pending_;
  std::size_t next_ = 0;
  std::chrono::steady_clock::time_point started_;
};

TEST_F(EtaTest, BeforeTheFirstAnswerItIsWhatWasSaid) {
  EXPECT_NEAR(Left(), 110, 1e-9);
  Pass(5);  // still loading
  EXPECT_NEAR(Left(), 105, 1e-9);
}

TEST_F(EtaTest, AsExpectedItCountsDown) {
  Pass(10);
  for (int i = 0; i < 5; ++i) {
    Pass(20);
    Answer(20, 20);
    EXPECT_NEAR(Left(), 80 - 20 * i, 0.01);
  }
}

TEST_F(EtaTest, ASlowMachineMakesItLonger) {
  Pass(10);
  Pass(100);  // half of the work in 100 instead of 50 seconds
  Answer(50, 20);
  EXPECT_GT(Left(), 75);  // 50 as said, 92 as it goes, 11 seconds of the saying
  EXPECT_LT(Left(), 95);
}

TEST_F(EtaTest, ShortAnswersMakeItShorter) {
  Pass(10);
  Pass(50 * 0.5 + 50 * 2 * 0.025);
  Answer(50, 2);  // instead of 20
  EXPECT_GT(Left(), 27);
  EXPECT_LT(Left(), 38);  // as said it would be 50
}

TEST_F(EtaTest, WorkInHandCountsAsItsTimePasses) {
  std::map<std::int64_t, SampleRow> held;
  for (std::size_t i = 0; i < 50; ++i) held[pending_[i].id] = pending_[i];
  const std::vector<ProgressCounter::InFlight> in_flight = {{started_, &held}};
  Pass(10);
  EXPECT_NEAR(Left(in_flight), 100, 1e-9);
  Pass(30);
  EXPECT_NEAR(Left(in_flight), 70, 1e-9);
  EXPECT_GT(Left(), 90);  // without it, 30 seconds would have gone by for nothing
  Pass(100);              // it takes longer than expected: the end does not come by itself
  EXPECT_GT(Left(in_flight), 55);
}

TEST_F(EtaTest, WithoutAnEstimateItComesWithTheAnswers) {
  ProgressCounter counter;
  ASSERT_TRUE(counter.Scan(run_.store(), run_.run()).ok());
  v1::RunProgress progress;
  counter.Describe(progress, clock_.Steady(), {});
  EXPECT_EQ(progress.eta_seconds(), -1);
  EXPECT_EQ(progress.expected_seconds(), 0);
  Pass(1);
  counter.Answered(pending_[0], {}, clock_.Steady());
  Pass(10);
  for (std::size_t i = 1; i < 20; ++i) counter.Answered(pending_[i], {}, clock_.Steady());
  v1::RunProgress later;
  counter.Describe(later, clock_.Steady(), {});
  EXPECT_NEAR(later.eta_seconds(), 40, 1e-9);  // 20 of 100 in 10 seconds
}

}  // namespace
}  // namespace h1bench

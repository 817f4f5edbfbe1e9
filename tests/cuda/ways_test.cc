// The determinism suite in CI: more than 200 ways to batch, cut, fork and order the same sequences,
// through the tensor-core attention and the scan by chunks, and in fp32 through the plain kernels.
#include "tests/cuda/ways.h"

#include "tests/cuda/card.h"

namespace h1bench {
namespace {

using testing::kDevice;

TEST(SlowCudaWays, TwoHundredWaysGiveTheSameBits) {
  testing::Ways all;
  for (const Precision precision : {Precision::kBf16, Precision::kFp32}) {
    BackendOptions options;
    options.device = kDevice;
    options.precision = precision;
    options.max_batch_tokens = options.max_batch_rows = 512;
    testing::Runner runner(testing::SmallTensorShape(2), options, 3, 100);
    const testing::Ways done = testing::RunWays(runner, {1, 2, 3}, {0, 33, 64, 65, 80, 100}, 3);
    EXPECT_EQ(done.differing, 0U) << PrecisionName(precision);
    all.ways += done.ways;
  }
  EXPECT_EQ(all.ways, 216U);
}

}  // namespace
}  // namespace h1bench

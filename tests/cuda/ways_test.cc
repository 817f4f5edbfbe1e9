// The determinism suite in CI: more than 200 ways to batch, cut, fork and order the same sequences,
// through the tensor-core attention and the scan by chunks, and in fp32 through the plain kernels.
#include "tests/cuda/ways.h"

#include "tests/cuda/card.h"

namespace h1bench {
namespace {

using testing::kDevice;

ModelShape Tiny() {
  ModelShape s;
  s.vocab = 90, s.hidden = 32, s.intermediate = 40, s.layers = 2;
  s.heads = 2, s.kv_heads = 1, s.head_dim = 64;
  s.ssm_heads = 1, s.ssm_head_dim = 64, s.ssm_inner = 64, s.ssm_groups = 1, s.ssm_state = 128;
  s.conv_taps = 4, s.chunk = 64, s.max_positions = 512;
  return s;
}

TEST(SlowCudaWays, TwoHundredWaysGiveTheSameBits) {
  testing::Ways all;
  for (const Precision precision : {Precision::kBf16, Precision::kFp32}) {
    BackendOptions options;
    options.device = kDevice;
    options.precision = precision;
    options.max_batch_tokens = options.max_batch_rows = 512;
    testing::Runner runner(Tiny(), options, 3, 100);
    const testing::Ways done = testing::RunWays(runner, {1, 2, 3}, {0, 33, 64, 65, 80, 100}, 3);
    EXPECT_EQ(done.differing, 0U) << PrecisionName(precision);
    all.ways += done.ways;
  }
  EXPECT_EQ(all.ways, 216U);
}

}  // namespace
}  // namespace h1bench

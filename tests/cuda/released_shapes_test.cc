// Bit-equality on a card at the released sizes: 0.5B and 3B, 216 ways each to compute the same
// sequences. The same under emulation at a small size: ways_test.cc.
#include "runner/checkpoint/shapes.h"
#include "tests/cuda/ways.h"

namespace h1bench {
namespace {

TEST(SlowReleasedShapes, TwoHundredWaysGiveTheSameBits) {
  if (!DeviceIdentity(Device::kCuda).ok()) GTEST_SKIP() << "needs a GPU";
  for (const char* shape : {"0.5B", "3B"}) {
    BackendOptions options;
    options.device = Device::kCuda;
    options.max_batch_tokens = 8192;
    testing::Runner runner(FindReleasedShape(shape)->shape, options, 32, 300);
    const testing::Ways done =
        testing::RunWays(runner, {1, 2, 3, 8, 20, 32}, {0, 5, 64, 65, 128, 200}, 3);
    EXPECT_EQ(done.ways, 216U);
    EXPECT_EQ(done.differing, 0U) << shape;
    printf("%s: %zu ways, %zu differing rows\n", shape, done.ways, done.differing);
  }
}

}  // namespace
}  // namespace h1bench

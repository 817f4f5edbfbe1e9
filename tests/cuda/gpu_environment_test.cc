// test_gpu on a machine without a GPU: everything is skipped, and says so.
#include <gtest/gtest.h>

#include "kernels/backend.h"
#include "kernels/cuda/platform.h"

#ifndef H1_CUDA_EMULATION
namespace h1bench {
namespace {

class NeedsAGpu : public ::testing::Environment {
 public:
  void SetUp() override {
    const auto identity = DeviceIdentity(Device::kCuda);
    if (!identity.ok()) GTEST_SKIP() << "needs a GPU: " << identity.status().message();
  }
};
const ::testing::Environment* const kEnvironment =
    ::testing::AddGlobalTestEnvironment(new NeedsAGpu);

}  // namespace
}  // namespace h1bench
#endif

#pragma once

#include <gtest/gtest.h>

#include "kernels/backend.h"
#include "kernels/cuda/device.h"

/// What a test runs on: the emulated card in test_cuda, in test_gpu the GPU.
namespace h1bench::testing {

#ifdef H1_CUDA_EMULATION
inline constexpr Device kDevice = Device::kCudaEmulated;

/// Backends that are made while it lives take the kernels of such a card; else those of sm_80.
class EmulatedCard {
 public:
  EmulatedCard(int major, int minor) { emulation::SetCapability(major, minor); }
  EmulatedCard(const EmulatedCard&) = delete;
  EmulatedCard& operator=(const EmulatedCard&) = delete;
  ~EmulatedCard() { emulation::SetCapability(8, 0); }
};
#else
inline constexpr Device kDevice = Device::kCuda;
#endif

}  // namespace h1bench::testing

namespace h1bench::H1_CUDA_NAMESPACE::testing {

/// Of the kernels that can be launched by themselves: all of them when emulated.
inline Capability Card() {
#ifdef H1_CUDA_EMULATION
  return {9, 0};
#else
  const auto facts = QueryDevice();
  EXPECT_TRUE(facts.ok()) << facts.status().message();
  return facts.ok() ? facts->capability() : Capability{};
#endif
}
/// Whether it has warpgroup products.
inline bool HasWgmma() {
  const Capability card = Card();
  return card.major == 9 && card.minor == 0 && card.sm90a_code;
}

}  // namespace h1bench::H1_CUDA_NAMESPACE::testing

#pragma once

#include <gtest/gtest.h>

#include "kernels/backend.h"
#include "kernels/cuda/device.h"
#include "kernels/model.h"

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

/// The smallest model whose attention and scan run on the tensor cores.
inline ModelShape SmallTensorShape(std::int64_t layers) {
  ModelShape s;
  s.vocab = 90, s.hidden = 32, s.intermediate = 40, s.layers = layers;
  s.heads = 2, s.kv_heads = 1, s.head_dim = 64;
  s.ssm_heads = 1, s.ssm_head_dim = 64, s.ssm_inner = 64, s.ssm_groups = 1, s.ssm_state = 128;
  s.conv_taps = 4, s.chunk = 64, s.max_positions = 512;
  return s;
}

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

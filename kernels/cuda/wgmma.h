#pragma once

#include "kernels/cuda/hopper.h"
#include "kernels/cuda/wgmma_operands.h"

/// d (64 weights, kTokens) += a (64, 16) * b (kTokens, 16)^T over one k16 step, both tiles in
/// shared memory with 128-byte rows, swizzled (tensor.h). Thread t of the warpgroup holds rows 16
/// (t / 32) + t % 32 / 4 (and 8 below) of columns 8 j + 2 (t % 4) and the next: d[4 j + 2 low + i].
/// `a` and `b` are the tiles' first rows, `k` the step within the 64 of a tile. Asynchronous until
/// WgmmaWait.
namespace h1bench::H1_CUDA_NAMESPACE {

#ifdef H1_CUDA_EMULATION

template <int kTokens>
H1_DEVICE void Wgmma(float (&d)[kTokens / 2], const unsigned char* a, const unsigned char* b, int k,
                     bool accumulate) {
  const int thread = static_cast<int>(threadIdx.x) % 128, lane = thread % 32;
  const auto element = [&](const unsigned char* tile, int row, int i) {
    std::uint16_t bits;
    std::memcpy(&bits, tile + Swizzled(row, k * 2 + i / 8) + i % 8 * 2, 2);
    return common::FromBf16(bits);
  };
  for (int index = 0; index < kTokens / 2; ++index) {
    const int row = thread / 32 * 16 + lane / 4 + index % 4 / 2 * 8;
    const int column = index / 4 * 8 + lane % 4 * 2 + index % 2;
    float sum = accumulate ? d[index] : 0.0F;
    for (int i = 0; i < 16; ++i) sum += element(a, row, i) * element(b, column, i);
    d[index] = sum;
  }
}

#else

/// Matrix descriptor of a K-major tile with 128-byte swizzled rows: groups of 8 rows lie 1024 bytes
/// apart.
H1_DEVICE std::uint64_t TileDescriptor(const unsigned char* tile) {
  const auto address = static_cast<std::uint64_t>(__cvta_generic_to_shared(tile));
  return (address & 0x3FFFF) >> 4 | std::uint64_t{1} << 16 | std::uint64_t{64} << 32 |
         std::uint64_t{1} << 62;
}

/// A, B, P: the operands' numbers after the n accumulators.
#define H1_WGMMA(N, n, A, B, P)                                                \
  asm volatile(H1_WGMMA_BEGIN(N, n, P) "%" #A ", %" #B ", p, 1, 1, 0, 0;\n}\n" \
               : H1_HELD_##n(d, 0)                                             \
               : "l"(da), "l"(db), "r"(keep))

template <int kTokens>
H1_DEVICE void Wgmma(float (&d)[kTokens / 2], const unsigned char* a, const unsigned char* b, int k,
                     bool accumulate) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  const std::uint64_t da = TileDescriptor(a) + static_cast<std::uint64_t>(k * 2);
  const std::uint64_t db = TileDescriptor(b) + static_cast<std::uint64_t>(k * 2);
  const int keep = accumulate;
  if constexpr (kTokens == 16) {
    H1_WGMMA(16, 8, 8, 9, 10);
  } else if constexpr (kTokens == 32) {
    H1_WGMMA(32, 16, 16, 17, 18);
  } else if constexpr (kTokens == 64) {
    H1_WGMMA(64, 32, 32, 33, 34);
  } else if constexpr (kTokens == 128) {
    H1_WGMMA(128, 64, 64, 65, 66);
  } else if constexpr (kTokens == 256) {
    H1_WGMMA(256, 128, 128, 129, 130);
  } else {
    static_assert(kTokens == 16, "no wgmma of this width");
  }
#endif
}
#undef H1_WGMMA

#endif

}  // namespace h1bench::H1_CUDA_NAMESPACE

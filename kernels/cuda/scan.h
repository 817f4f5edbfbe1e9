#pragma once

#include "kernels/cuda/stages.h"

/// The scan kernels: h = exp(dt A) h + dt x B^T, y = h C + D x. The first two go token by token,
/// with kRows rows p of one head in a warp and the N columns in its lanes; the third goes by chunks
/// of an absolute grid. In each, one chain of operations for every number whatever the cut, so
/// prefill, any pieces and decode give the same bits.
namespace h1bench::H1_CUDA_NAMESPACE {

#if defined(__CUDACC__) || defined(H1_CUDA_EMULATION)

/// Sums v[i] over the warp for every i < kRows; lane l gets the sum of row RowOfLane(l).
template <int kRows, int kLive = kRows, int kOffset = 16>
H1_DEVICE float SumRows(float (&v)[kRows], int lane) {
  // Halves kLive as it goes; a recursion, so that every index is known when it is compiled.
  if constexpr (kLive > 1) {
    constexpr int kHalf = kLive / 2;
    const bool upper = (lane & kOffset) != 0;
    H1_UNROLL
    for (int i = 0; i < kHalf; ++i) {
      const float send = upper ? v[i] : v[i + kHalf];
      const float keep = upper ? v[i + kHalf] : v[i];
      v[i] = keep + __shfl_xor_sync(kAllLanes, send, kOffset);
    }
    return SumRows<kRows, kHalf, kOffset / 2>(v, lane);
  } else if constexpr (kOffset > 0) {
    v[0] = v[0] + __shfl_xor_sync(kAllLanes, v[0], kOffset);
    return SumRows<kRows, 1, kOffset / 2>(v, lane);
  } else {
    return v[0];
  }
}
template <int kRows>
H1_DEVICE int RowOfLane(int lane) {
  int row = 0, offset = 16;
  for (int half = kRows / 2; half >= 1; half /= 2, offset /= 2)
    if ((lane & offset) != 0) row += half;
  return row;
}

#endif

/// Any shape with N to 512, loads straight from memory.
void ScanPlain(const StageContext& c, const LayerPointers& w, std::int64_t layer);
/// N of 128 or 256 and P a multiple of a block's rows: tokens come through shared memory in eights.
void ScanStaged(const StageContext& c, const LayerPointers& w, std::int64_t layer);
/// Chunks on the tensor cores; a slot keeps the last whole chunk's state and the open chunk's
/// inputs, which every call goes through again.
void ScanChunked(const StageContext& c, const LayerPointers& w, std::int64_t layer);
/// The same bits by warpgroup products (sm_90a).
void ScanWgmma(const StageContext& c, const LayerPointers& w, std::int64_t layer);

}  // namespace h1bench::H1_CUDA_NAMESPACE

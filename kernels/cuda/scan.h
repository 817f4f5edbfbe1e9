#pragma once

#include "kernels/cuda/stages.h"

/// What the scan kernels share: h = exp(dt A) h + dt x B^T, y = h C + D x, with kRows rows p of one
/// head in a warp and the N columns in its lanes. One chain of operations for every number whatever
/// the cut, so prefill, any chunks and decode give the same bits.
namespace h1bench::H1_CUDA_NAMESPACE {

#if defined(__CUDACC__) || defined(H1_CUDA_EMULATION)

/// Sums v[i] over the warp for every i < kRows; lane l gets the sum of row RowOfLane(l).
template <int kRows>
H1_DEVICE float SumRows(float (&v)[kRows], int lane) {
  int offset = 16;
  H1_UNROLL
  for (int half = kRows / 2; half >= 1; half /= 2) {
    const bool upper = (lane & offset) != 0;
    H1_UNROLL
    for (int i = 0; i < half; ++i) {
      const float send = upper ? v[i] : v[i + half];
      const float keep = upper ? v[i + half] : v[i];
      v[i] = keep + __shfl_xor_sync(kAllLanes, send, offset);
    }
    offset /= 2;
  }
  for (; offset >= 1; offset /= 2) v[0] = v[0] + __shfl_xor_sync(kAllLanes, v[0], offset);
  return v[0];
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
/// N of 128 or 256 and P a multiple of a block's rows (HasScanStaged): tokens come through shared
/// memory in eights.
void ScanStaged(const StageContext& c, const LayerPointers& w, std::int64_t layer);
bool HasScanStaged(const Dims& dims);

}  // namespace h1bench::H1_CUDA_NAMESPACE

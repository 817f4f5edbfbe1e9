#pragma once

#include "kernels/cuda/stages.h"

/// How kernels read a sequence's past.
namespace h1bench::H1_CUDA_NAMESPACE {

#if defined(__CUDACC__) || defined(H1_CUDA_EMULATION)

/// The conv input of row `in_segment` of a segment (negative: before it): a row of this Forward, of
/// the tail, or null before the sequence began.
H1_DEVICE const float* ConvInput(const Dims& d, const StateLayout& layout,
                                 const DeviceSegment& segment, const float* wide,
                                 std::int64_t in_segment, std::int64_t layer) {
  if (in_segment >= 0) return wide + (segment.first_row + in_segment) * d.wide + d.x;
  if (segment.recent_in == nullptr) return nullptr;
  return reinterpret_cast<const float*>(segment.recent_in + layout.tail_at(layer)) +
         (in_segment + d.taps - 1) * d.channels;
}

/// x and B of the open chunk's token `in_chunk`, from a slot's recent inputs.
H1_DEVICE const Bf16* RecentColumns(const StateLayout& layout, const std::byte* recent,
                                    std::int64_t in_chunk, std::int64_t layer) {
  return reinterpret_cast<const Bf16*>(recent + layout.columns_at(layer)) +
         in_chunk * layout.chunk_columns;
}
H1_DEVICE const float* RecentSteps(const StateLayout& layout, const std::byte* recent,
                                   std::int64_t in_chunk, std::int64_t layer) {
  return reinterpret_cast<const float*>(recent + layout.steps_at(layer)) +
         in_chunk * layout.chunk_heads;
}

#endif

}  // namespace h1bench::H1_CUDA_NAMESPACE

#pragma once

#include "kernels/cuda/stages.h"

/// What the attention kernels share. Keys are taken in tiles at absolute multiples of their length,
/// in increasing order, by online softmax; a query's bits depend on its own q and the keys up to
/// its position, not on which queries share its block.
namespace h1bench::H1_CUDA_NAMESPACE {

/// Of the plain and the mma.sync kernels; attention_wgmma's are twice as long.
inline constexpr int kKeyTile = 64;
/// Query rows that a block of a tensor-core kernel takes.
inline constexpr int kAttentionRows = 128;

/// The key of position `p` for one kv head; its value lies `values` bytes further for pages, in
/// another buffer for rows of this Forward.
template <typename T>
struct KeyAt {
  const T *key, *value;
};
template <typename T>
H1_DEVICE KeyAt<T> FindKey(const Dims& d, const StateLayout& layout, const DeviceBatch& batch,
                           const Buffers& buffers, const DeviceSegment& segment, std::int64_t layer,
                           std::int64_t kv_head, std::int64_t p) {
  if (p >= segment.position) {
    const std::int64_t at =
        ((segment.first_row + p - segment.position) * d.kv_heads + kv_head) * d.head_dim;
    return {static_cast<const T*>(buffers.k) + at, static_cast<const T*>(buffers.v) + at};
  }
  const std::byte* key =
      batch.pages[segment.first_page + p / kPageTokens] + layout.key_at(layer, kv_head, p);
  return {reinterpret_cast<const T*>(key),
          reinterpret_cast<const T*>(key + d.kv_heads * layout.head_bytes)};
}

/// The kernels that Attend (stages.h) chooses from. Any head dimension to 256, in fp32 whatever T
/// is: one warp a (row, head).
void AttendPlain(const StageContext& c, std::int64_t layer);
/// Tensor cores, bf16, head dimensions 64 and 128.
void AttendMma(const StageContext& c, std::int64_t layer);
void AttendWgmma(const StageContext& c, std::int64_t layer);  // sm_90a

}  // namespace h1bench::H1_CUDA_NAMESPACE

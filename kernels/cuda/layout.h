#pragma once

#include "kernels/cuda/numerics.h"
#include "kernels/model.h"

/// Where a sequence's numbers lie in device memory.
namespace h1bench::H1_CUDA_NAMESPACE {

inline constexpr std::int64_t kPageTokens = 64;
/// Tokens of an SSD chunk; chunks begin at multiples of it, whatever the cut.
inline constexpr int kChunk = 64;
inline constexpr std::int64_t kKept = 16;

/// Whether the table (paths.h) has the SSM of such a model run in chunks on the tensor cores. By
/// model and precision alone: slots and memory plans follow from it, and need no card.
bool HasScanChunked(const ModelShape& shape, bool bf16);

struct StateLayout {
  StateLayout() = default;
  StateLayout(const ModelShape& s, bool bf16)
      : kv_heads(s.kv_heads),
        head_dim(s.head_dim),
        element(bf16 ? 2 : 4),
        head_bytes(kPageTokens * s.head_dim * element),
        layer_bytes(2 * s.kv_heads * head_bytes),
        page_bytes(layer_bytes * s.layers),
        layers(s.layers),
        chunked(HasScanChunked(s, bf16)),
        ssm_floats(s.ssm_inner * s.ssm_state),
        tail_floats((s.conv_taps - 1) * s.conv_channels()),
        chunk_columns(chunked ? s.ssm_inner + s.ssm_groups * s.ssm_state : 0),
        chunk_heads(chunked ? s.ssm_heads : 0) {}

  // A page: kPageTokens positions of all layers; per layer K of every kv head (tokens, hd), then V.
  std::int64_t kv_heads = 0, head_dim = 0, element = 0;
  std::int64_t head_bytes = 0, layer_bytes = 0, page_bytes = 0, layers = 0;

  // State: per layer the SSM state fp32, (Hs, P, N), or as scan_chunked.cu's fragments lie. It is
  // the state after the last token; when `chunked`, after the last whole chunk.
  bool chunked = false;
  std::int64_t ssm_floats = 0;
  H1_HOST_DEVICE std::int64_t state_bytes() const { return ssm_floats * layers * 4; }
  H1_HOST_DEVICE std::int64_t ssm_at(std::int64_t layer) const { return layer * ssm_floats * 4; }

  // Recent inputs: per layer the tail (K - 1, channels) fp32 of scaled values before the conv,
  // oldest first; when `chunked`, of the open chunk's tokens also x and B (kChunk, chunk_columns)
  // bf16 and the time steps (kChunk, chunk_heads) fp32.
  std::int64_t tail_floats = 0, chunk_columns = 0, chunk_heads = 0;
  H1_HOST_DEVICE std::int64_t recent_layer_bytes() const {
    return tail_floats * 4 + kChunk * (chunk_columns * 2 + chunk_heads * 4);
  }
  /// Never 0: that there is such memory says that a sequence is kept.
  H1_HOST_DEVICE std::int64_t recent_bytes() const { return recent_layer_bytes() * layers + kKept; }
  H1_HOST_DEVICE std::int64_t tail_at(std::int64_t layer) const {
    return layer * recent_layer_bytes();
  }
  H1_HOST_DEVICE std::int64_t columns_at(std::int64_t layer) const {
    return tail_at(layer) + tail_floats * 4;
  }
  H1_HOST_DEVICE std::int64_t steps_at(std::int64_t layer) const {
    return columns_at(layer) + kChunk * chunk_columns * 2;
  }
  /// Bytes into a page of position `p`'s key (value: + kv_heads * head_bytes).
  H1_HOST_DEVICE std::int64_t key_at(std::int64_t layer, std::int64_t kv_head,
                                     std::int64_t p) const {
    return layer * layer_bytes + kv_head * head_bytes + p % kPageTokens * head_dim * element;
  }
};

}  // namespace h1bench::H1_CUDA_NAMESPACE

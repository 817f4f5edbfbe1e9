#pragma once

#include "kernels/cuda/numerics.h"
#include "kernels/model.h"

/// Where a sequence's numbers lie in device memory.
namespace h1bench::H1_CUDA_NAMESPACE {

inline constexpr std::int64_t kPageTokens = 64;

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
        ssm_floats(s.ssm_inner * s.ssm_state),
        tail_floats((s.conv_taps - 1) * s.conv_channels()) {}

  // A page: kPageTokens positions of all layers; per layer K of every kv head (tokens, hd), then V.
  std::int64_t kv_heads = 0, head_dim = 0, element = 0;
  std::int64_t head_bytes = 0, layer_bytes = 0, page_bytes = 0, layers = 0;
  // State: per layer the SSM state (Hs, P, N) fp32, then per layer the tail (K - 1, channels) fp32
  // of scaled values before the conv, oldest first.
  std::int64_t ssm_floats = 0, tail_floats = 0;
  H1_HOST_DEVICE std::int64_t state_bytes() const {
    return (ssm_floats + tail_floats) * layers * 4;
  }
  H1_HOST_DEVICE std::int64_t ssm_at(std::int64_t layer) const { return layer * ssm_floats * 4; }
  H1_HOST_DEVICE std::int64_t tail_at(std::int64_t layer) const {
    return (layers * ssm_floats + layer * tail_floats) * 4;
  }
  /// Bytes into a page of position `p`'s key (value: + kv_heads * head_bytes).
  H1_HOST_DEVICE std::int64_t key_at(std::int64_t layer, std::int64_t kv_head,
                                     std::int64_t p) const {
    return layer * layer_bytes + kv_head * head_bytes + p % kPageTokens * head_dim * element;
  }
};

}  // namespace h1bench::H1_CUDA_NAMESPACE

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/generated.h"

/// What a backend has to know of a Falcon-H1 model: its numbers and where its weights lie.
/// Formulas: docs/architecture.md and transformers' FalconH1 model code; tensor names are those of
/// the Hugging Face checkpoints.
namespace h1bench {

/// Every number of config.json that the mathematics depends on, resolved (no null, no "auto").
struct ModelShape {
  std::int64_t vocab = 0;         // V: rows of the embedding and of the head
  std::int64_t hidden = 0;        // d
  std::int64_t intermediate = 0;  // I: SwiGLU width
  std::int64_t layers = 0;        // L
  std::int64_t heads = 0;         // Hq
  std::int64_t kv_heads = 0;      // Hkv, divides heads
  std::int64_t head_dim = 0;      // hd, even; heads * head_dim need not be hidden
  std::int64_t ssm_inner = 0;     // D_in = ssm_heads * ssm_head_dim
  std::int64_t ssm_heads = 0;     // Hs
  std::int64_t ssm_head_dim = 0;  // P
  std::int64_t ssm_groups = 0;    // G, divides ssm_heads
  std::int64_t ssm_state = 0;     // N
  std::int64_t conv_taps = 0;     // K >= 1
  std::int64_t chunk = 0;         // Q: SSD chunk, a grid absolute from position 0
  std::int64_t max_positions = 0;

  bool tied_embeddings = false;
  bool gated_norm = false;        // mamba_rms_norm: the gated RMSNorm after the SSM exists
  bool norm_before_gate = false;  // its order
  bool conv_bias = true;
  bool ssm_in_bias = false;   // mamba_proj_bias
  bool ssm_out_bias = false;  // projectors_bias
  bool attention_bias = false;
  bool mlp_bias = false;

  float norm_eps = 1e-5F;
  double rope_base = 1e11;
  float dt_min = 0;  // time_step_limit: clamp of dt after softplus
  float dt_max = std::numeric_limits<float>::infinity();

  // muP multipliers, all applied in fp32 (where each acts: transformers' order).
  float embedding_multiplier = 1, lm_head_multiplier = 1;
  float attention_in_multiplier = 1, attention_out_multiplier = 1, key_multiplier = 1;
  float ssm_in_multiplier = 1, ssm_out_multiplier = 1;
  std::array<float, 5> ssm_multipliers = {1, 1, 1, 1,
                                          1};     // z, x, B, C, dt slices of in_proj's output
  std::array<float, 2> mlp_multipliers = {1, 1};  // gate, down

  std::int64_t conv_channels() const { return ssm_inner + 2 * ssm_groups * ssm_state; }
  std::int64_t in_proj_rows() const {
    return 2 * ssm_inner + 2 * ssm_groups * ssm_state + ssm_heads;
  }
  std::int64_t query_rows() const { return heads * head_dim; }
  std::int64_t key_rows() const { return kv_heads * head_dim; }
};

enum class DType { kF32, kBF16, kF16 };
/// "F32", "BF16", "F16": safetensors' spelling.
const char* DTypeName(DType dtype);
std::size_t DTypeBytes(DType dtype);

/// Row-major bytes owned by somebody else (a mapped file); empty when the model has no such tensor.
struct TensorView {
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
  /// Instead of bytes: what a device that can make them makes them of (then dtype is kBF16).
  std::optional<Generated> generated = std::nullopt;
  bool empty() const { return bytes.empty() && !generated; }
};

/// One layer. Linear weights are (out, in), as stored. Optional tensors are empty.
struct LayerWeights {
  TensorView input_norm;                       // (d)
  TensorView ssm_in, ssm_in_bias;              // (in_proj_rows, d)
  TensorView conv, conv_bias;                  // (conv_channels, 1, K)
  TensorView dt_bias, a_log, d_skip;           // (Hs) each
  TensorView ssm_norm;                         // (D_in), gated_norm only
  TensorView ssm_out, ssm_out_bias;            // (d, D_in)
  TensorView q, q_bias, k, k_bias, v, v_bias;  // (query_rows | key_rows, d)
  TensorView o, o_bias;                        // (d, query_rows)
  TensorView ff_norm;                          // (d)
  TensorView gate, gate_bias, up, up_bias;     // (I, d)
  TensorView down, down_bias;                  // (d, I)
};

struct ModelWeights {
  TensorView embedding;  // (V, d)
  std::vector<LayerWeights> layers;
  TensorView final_norm;  // (d)
  TensorView lm_head;     // (V, d); the embedding's view when tied
  /// Told of every big tensor that a backend has taken over into memory of its own, so that the
  /// source need not stay in memory beside it. May be empty.
  std::function<void(std::span<const std::byte>)> taken;

  void Taken(const TensorView& view) const {
    if (taken) taken(view.bytes);
  }
  /// The matrices of one layer.
  void Taken(const LayerWeights& w) const {
    for (const TensorView* view :
         {&w.ssm_in, &w.ssm_out, &w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down})
      Taken(*view);
  }
};

}  // namespace h1bench

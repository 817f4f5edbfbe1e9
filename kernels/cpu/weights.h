#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "kernels/backend.h"
#include "kernels/common/layer_vectors.h"
#include "kernels/cpu/linear.h"

/// A model's weights as the CPU kernels want them: matrices packed, vectors in fp32.
namespace h1bench::cpu {

struct PackedLayer {
  std::vector<float> input_norm;  // (d)
  /// z, x, B, C, dt of the SSM and q, k, v in one product, as both branches read the same normed
  /// rows; then its result is scaled by `in_scale` and `in_bias` (empty: none) is added: all muP
  /// multipliers in fp32.
  Linear in;
  std::vector<float> in_scale, in_bias;
  std::vector<float> conv, conv_bias;     // (K, channels): taps first; (channels) or empty
  std::vector<float> dt_bias, a, d_skip;  // (Hs); a = -exp(A_log)
  std::vector<float> ssm_norm;            // (D_in) or empty
  Linear out;  // (d, D_in + query_rows): both branches' output, added by the product
  std::vector<float> out_bias;  // with the branches' multipliers; empty: none
  std::vector<float> ff_norm;
  Linear gate_up;  // (2 I, d)
  std::vector<float> gate_bias, up_bias;
  Linear down;
  std::vector<float> down_bias;  // times the multiplier
};

struct PackedModel {
  ActKind kind = ActKind::kF32;
  Buffer embedding;  // (V, d), fp32 or bf16 (never kF32Rounded)
  bool embedding_bf16 = false;
  std::vector<float> final_norm;
  Linear head;
  std::vector<PackedLayer> layers;
  std::int64_t bytes = 0;  // of everything above
};

using common::InColumns;

/// How activations are kept at this precision on this machine.
ActKind KindFor(Precision precision);

/// Packs. Throws std::bad_alloc.
void PackWeights(const ModelShape& shape, const ModelWeights& weights, Precision precision,
                 PackedModel& out);

}  // namespace h1bench::cpu

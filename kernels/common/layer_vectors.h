#pragma once

#include <cstdint>
#include <vector>

#include "kernels/model.h"

/// What every backend makes of a layer's small tensors: all muP multipliers folded into fp32
/// vectors.
namespace h1bench::common {

/// Columns of the wide input product (z, x, B, C, dt of the SSM and q, k, v in one, as both
/// branches read the same normed rows), and the first column of each part.
struct InColumns {
  std::int64_t z, x, b, c, dt, q, k, v, total;
  explicit InColumns(const ModelShape& shape);
};

struct LayerVectors {
  std::vector<float> in_scale;  // (InColumns::total): the product's result times this ...
  std::vector<float> in_bias;   // ... plus this; empty: none
  std::vector<float> conv;      // (K, channels): taps first
  std::vector<float> a;         // (Hs): -exp(A_log)
  std::vector<float>
      out_bias;  // (d): both branches' output biases times their multipliers; empty: none
  std::vector<float> down_bias;  // (d): times the down multiplier; empty: none
};
LayerVectors MakeLayerVectors(const ModelShape& shape, const LayerWeights& from);

}  // namespace h1bench::common

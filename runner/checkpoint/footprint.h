#pragma once

#include <cstdint>

#include "kernels/model.h"

namespace h1bench {

/// What a model weighs. Elements in the first group, bytes in the second. Pure arithmetic from the
/// shape.
struct Footprint {
  std::int64_t embedding = 0, lm_head = 0, mamba = 0, attention = 0, mlp = 0, norms = 0;
  std::int64_t parameters() const { return embedding + lm_head + mamba + attention + mlp + norms; }

  std::int64_t kv_per_token = 0;       // keys and values of all layers, 16 bit
  std::int64_t ssm_per_sequence = 0;   // (Hs, P, N) of all layers, fp32
  std::int64_t conv_per_sequence = 0;  // (conv_channels, K - 1) of all layers, fp32
};
Footprint ComputeFootprint(const ModelShape& shape);

}  // namespace h1bench

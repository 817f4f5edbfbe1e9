#include "kernels/common/layer_vectors.h"

#include <array>
#include <cmath>

#include "base/planted.h"
#include "kernels/common/convert.h"

namespace h1bench::common {
namespace {

using Floats = std::vector<float>;

/// (channels, 1, K) to (K, channels).
Floats TapsFirst(const TensorView& view, std::int64_t channels, std::int64_t taps) {
  const Floats stored = ToFloats(view);
  Floats out(stored.size());
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t k = 0; k < taps; ++k) {
      out[static_cast<std::size_t>(k * channels + c)] =
          stored[static_cast<std::size_t>(c * taps + k)];
    }
  }
  return out;
}

void FillRange(Floats& out, std::int64_t begin, std::int64_t end, double value) {
  for (std::int64_t i = begin; i < end; ++i)
    out[static_cast<std::size_t>(i)] = static_cast<float>(value);
}

/// Adds scale * bias at `column`; makes `out` of `size` zeros first when it is still empty.
void AddBias(Floats& out, std::int64_t size, const TensorView& bias, std::int64_t column,
             double scale) {
  if (bias.empty()) return;
  out.resize(static_cast<std::size_t>(size), 0.0F);
  const Floats values = ToFloats(bias);
  for (std::size_t i = 0; i < values.size(); ++i) {
    float& to = out[static_cast<std::size_t>(column) + i];
    to = static_cast<float>(to + scale * static_cast<double>(values[i]));
  }
}

/// Scales and biases of the wide input product (FALCON_H1.md 1.1: output multipliers act on biases,
/// input ones do not).
void InEpilogue(const ModelShape& s, const LayerWeights& from, LayerVectors& out) {
  const InColumns at(s);
  const std::array<std::int64_t, 6> edges = {at.z, at.x, at.b, at.c, at.dt, at.q};
  out.in_scale.resize(static_cast<std::size_t>(at.total));
  for (std::size_t i = 0; i < 5; ++i) {
    FillRange(out.in_scale, edges[i], edges[i + 1],
              static_cast<double>(s.ssm_in_multiplier) * static_cast<double>(s.ssm_multipliers[i]));
  }
  FillRange(out.in_scale, at.q, at.total, static_cast<double>(s.attention_in_multiplier));
  FillRange(out.in_scale, at.k, at.v,
            static_cast<double>(s.attention_in_multiplier) *
                (Planted(Bug::kWrongKernel) ? 1.0 : static_cast<double>(s.key_multiplier)));

  if (!from.ssm_in_bias.empty()) {
    AddBias(out.in_bias, at.total, from.ssm_in_bias, 0, 1.0);
    for (std::size_t i = 0; i < 5; ++i) {
      for (std::int64_t j = edges[i]; j < edges[i + 1]; ++j) {
        out.in_bias[static_cast<std::size_t>(j)] *= s.ssm_multipliers[i];
      }
    }
  }
  AddBias(out.in_bias, at.total, from.q_bias, at.q, 1.0);
  AddBias(out.in_bias, at.total, from.k_bias, at.k, static_cast<double>(s.key_multiplier));
  AddBias(out.in_bias, at.total, from.v_bias, at.v, 1.0);
}

}  // namespace

InColumns::InColumns(const ModelShape& s)
    : z(0),
      x(s.ssm_inner),
      b(2 * s.ssm_inner),
      c(b + s.ssm_groups * s.ssm_state),
      dt(c + s.ssm_groups * s.ssm_state),
      q(dt + s.ssm_heads),
      k(q + s.query_rows()),
      v(k + s.key_rows()),
      total(v + s.key_rows()) {}

LayerVectors MakeLayerVectors(const ModelShape& s, const LayerWeights& from) {
  LayerVectors out;
  InEpilogue(s, from, out);
  out.conv = TapsFirst(from.conv, s.conv_channels(), s.conv_taps);
  out.a = ToFloats(from.a_log);
  for (float& a : out.a) a = static_cast<float>(-std::exp(static_cast<double>(a)));
  AddBias(out.out_bias, s.hidden, from.ssm_out_bias, 0, static_cast<double>(s.ssm_out_multiplier));
  AddBias(out.out_bias, s.hidden, from.o_bias, 0, static_cast<double>(s.attention_out_multiplier));
  AddBias(out.down_bias, s.hidden, from.down_bias, 0, static_cast<double>(s.mlp_multipliers[1]));
  return out;
}

}  // namespace h1bench::common

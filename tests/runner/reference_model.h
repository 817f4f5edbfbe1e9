#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "kernels/common/convert.h"
#include "kernels/model.h"

/// Falcon-H1 in float64, one sequence, token by token, no cache but the recurrence itself: written
/// from the formulas alone, to be compared with what backends do. Slow; for small models.
namespace h1bench::testing {

using Vector = std::vector<double>;

class ReferenceModel {
 public:
  ReferenceModel(const ModelShape& shape, const ModelWeights& weights)
      : s_(shape), embedding_(Load(weights.embedding)), head_(Load(weights.lm_head)) {
    final_norm_ = Load(weights.final_norm);
    for (const LayerWeights& from : weights.layers) {
      layers_.push_back({Load(from.input_norm), Load(from.ssm_in), Load(from.conv),
                         Load(from.conv_bias), Load(from.dt_bias), Load(from.a_log),
                         Load(from.d_skip), Load(from.ssm_norm), Load(from.ssm_out), Load(from.q),
                         Load(from.k), Load(from.v), Load(from.o), Load(from.ff_norm),
                         Load(from.gate), Load(from.up), Load(from.down)});
    }
  }

  /// Logits (V) after every id: (ids, V).
  std::vector<Vector> Logits(std::span<const std::int32_t> ids) const {
    std::vector<State> states(layers_.size());
    std::vector<Vector> out;
    for (std::size_t position = 0; position < ids.size(); ++position) {
      const std::size_t d = Size(s_.hidden);
      Vector x(d);
      for (std::size_t i = 0; i < d; ++i)
        x[i] = embedding_[Size(ids[position]) * d + i] * s_.embedding_multiplier;
      for (std::size_t layer = 0; layer < layers_.size(); ++layer)
        Step(layers_[layer], states[layer], position, x);
      Vector logits = Product(head_, Norm(x, final_norm_));
      for (double& logit : logits) logit *= s_.lm_head_multiplier;
      out.push_back(std::move(logits));
    }
    return out;
  }

 private:
  struct Layer {
    Vector input_norm, ssm_in, conv, conv_bias, dt_bias, a_log, d_skip, ssm_norm, ssm_out, q, k, v,
        o, ff_norm, gate, up, down;
  };
  struct State {
    std::vector<Vector> inputs;  // of the convolution, oldest first
    Vector ssm;                  // (Hs, P, N)
    std::vector<Vector> keys, values;
  };

  static std::size_t Size(std::int64_t n) { return static_cast<std::size_t>(n); }
  static Vector Load(const TensorView& view) {
    const std::vector<float> floats = common::ToFloats(view);
    return {floats.begin(), floats.end()};
  }
  static double Silu(double x) { return x / (1 + std::exp(-x)); }
  static Vector Product(const Vector& matrix, const Vector& x) {
    Vector out(matrix.size() / x.size());
    for (std::size_t row = 0; row < out.size(); ++row)
      for (std::size_t i = 0; i < x.size(); ++i) out[row] += matrix[row * x.size() + i] * x[i];
    return out;
  }
  Vector Norm(const Vector& x, const Vector& weight, std::size_t groups = 1) const {
    Vector out(x.size());
    const std::size_t width = x.size() / groups;
    for (std::size_t group = 0; group < groups; ++group) {
      double squares = 0;
      for (std::size_t i = group * width; i < (group + 1) * width; ++i) squares += x[i] * x[i];
      const double scale =
          1 / std::sqrt(squares / static_cast<double>(width) + static_cast<double>(s_.norm_eps));
      for (std::size_t i = group * width; i < (group + 1) * width; ++i)
        out[i] = x[i] * scale * weight[i];
    }
    return out;
  }
  static Vector Scaled(Vector x, double factor) {
    for (double& value : x) value *= factor;
    return x;
  }

  void Step(const Layer& layer, State& state, std::size_t position, Vector& x) const {
    const Vector normed = Norm(x, layer.input_norm);
    const Vector ssm = Ssm(layer, state, Scaled(normed, s_.ssm_in_multiplier));
    const Vector attention =
        Attention(layer, state, position, Scaled(normed, s_.attention_in_multiplier));
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] += ssm[i] * s_.ssm_out_multiplier + attention[i] * s_.attention_out_multiplier;
    const Vector f = Norm(x, layer.ff_norm);
    const Vector gate = Product(layer.gate, f);
    Vector up = Product(layer.up, f);
    for (std::size_t i = 0; i < up.size(); ++i) up[i] *= Silu(gate[i] * s_.mlp_multipliers[0]);
    const Vector down = Product(layer.down, up);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += down[i] * s_.mlp_multipliers[1];
  }

  /// The convolution's output for [x | B | C] of this token.
  Vector Convolved(const Layer& layer, State& state, const Vector& projected) const {
    const std::size_t channels = Size(s_.conv_channels()), taps = Size(s_.conv_taps);
    state.inputs.emplace_back(projected.begin() + s_.ssm_inner,
                              projected.begin() + s_.ssm_inner + s_.conv_channels());
    Vector out(channels);
    for (std::size_t c = 0; c < channels; ++c) {
      double sum = layer.conv_bias.empty() ? 0 : layer.conv_bias[c];
      for (std::size_t k = 0; k < taps && k < state.inputs.size(); ++k)
        sum += layer.conv[c * taps + taps - 1 - k] * state.inputs[state.inputs.size() - 1 - k][c];
      out[c] = Silu(sum);
    }
    return out;
  }

  Vector Ssm(const Layer& layer, State& state, const Vector& input) const {
    const std::size_t inner = Size(s_.ssm_inner), heads = Size(s_.ssm_heads),
                      width = Size(s_.ssm_head_dim), n = Size(s_.ssm_state),
                      groups = Size(s_.ssm_groups);
    Vector projected = Product(layer.ssm_in, input);
    const std::size_t edges[] = {
        0, inner, 2 * inner, 2 * inner + groups * n, 2 * inner + 2 * groups * n, projected.size()};
    for (std::size_t part = 0; part < 5; ++part)
      for (std::size_t i = edges[part]; i < edges[part + 1]; ++i)
        projected[i] *= s_.ssm_multipliers[part];
    const Vector mixed = Convolved(layer, state, projected);
    if (state.ssm.empty()) state.ssm.resize(heads * width * n);
    Vector y(inner);
    for (std::size_t h = 0; h < heads; ++h) {
      const std::size_t b = inner + h / (heads / groups) * n, c = b + groups * n;
      const double raw = projected[edges[4] + h] + layer.dt_bias[h];
      const double dt = std::clamp(std::log1p(std::exp(raw)), static_cast<double>(s_.dt_min),
                                   static_cast<double>(s_.dt_max));
      const double decay = std::exp(-dt * std::exp(layer.a_log[h]));
      for (std::size_t p = 0; p < width; ++p) {
        const double value = mixed[h * width + p];
        double sum = layer.d_skip[h] * value;
        for (std::size_t j = 0; j < n; ++j) {
          double& cell = state.ssm[(h * width + p) * n + j];
          cell = decay * cell + dt * value * mixed[b + j];
          sum += cell * mixed[c + j];
        }
        y[h * width + p] = sum * Silu(projected[h * width + p]);
      }
    }
    return Product(layer.ssm_out, s_.gated_norm ? Norm(y, layer.ssm_norm, groups) : y);
  }

  /// Rotates every head of `x` to its position.
  void Rotate(Vector& x, std::size_t position) const {
    const std::size_t width = Size(s_.head_dim), half = width / 2;
    for (std::size_t head = 0; head < x.size() / width; ++head) {
      for (std::size_t i = 0; i < half; ++i) {
        const double angle =
            static_cast<double>(position) *
            std::pow(s_.rope_base, -2.0 * static_cast<double>(i) / static_cast<double>(width));
        double& a = x[head * width + i];
        double& b = x[head * width + half + i];
        std::tie(a, b) = std::pair(a * std::cos(angle) - b * std::sin(angle),
                                   b * std::cos(angle) + a * std::sin(angle));
      }
    }
  }

  Vector Attention(const Layer& layer, State& state, std::size_t position,
                   const Vector& input) const {
    const std::size_t width = Size(s_.head_dim), heads = Size(s_.heads);
    Vector q = Product(layer.q, input);
    Vector k = Scaled(Product(layer.k, input), s_.key_multiplier);
    Rotate(q, position);
    Rotate(k, position);
    state.keys.push_back(std::move(k));
    state.values.push_back(Product(layer.v, input));
    Vector out(heads * width);
    for (std::size_t h = 0; h < heads; ++h) {
      const std::size_t kv = h / Size(s_.heads / s_.kv_heads) * width;
      Vector weights(state.keys.size());
      for (std::size_t t = 0; t < weights.size(); ++t) {
        for (std::size_t i = 0; i < width; ++i)
          weights[t] += q[h * width + i] * state.keys[t][kv + i];
        weights[t] /= std::sqrt(static_cast<double>(width));
      }
      const double largest = *std::max_element(weights.begin(), weights.end());
      double total = 0;
      for (double& weight : weights) total += weight = std::exp(weight - largest);
      for (std::size_t t = 0; t < weights.size(); ++t)
        for (std::size_t i = 0; i < width; ++i)
          out[h * width + i] += weights[t] / total * state.values[t][kv + i];
    }
    return Product(layer.o, out);
  }

  ModelShape s_;
  Vector embedding_, head_, final_norm_;
  std::vector<Layer> layers_;
};

/// Natural logarithm of the sum of exponentials.
inline double LogSumExp(const Vector& logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

}  // namespace h1bench::testing

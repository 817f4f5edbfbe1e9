#include "kernels/cpu/weights.h"

#include <cmath>
#include <cstring>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/threads.h"

namespace h1bench::cpu {
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
void InEpilogue(const ModelShape& s, const LayerWeights& from, PackedLayer& out) {
  const InColumns at(s);
  const std::array<std::int64_t, 6> edges = {at.z, at.x, at.b, at.c, at.dt, at.q};
  out.in_scale.resize(static_cast<std::size_t>(at.total));
  for (std::size_t i = 0; i < 5; ++i) {
    FillRange(out.in_scale, edges[i], edges[i + 1],
              static_cast<double>(s.ssm_in_multiplier) * static_cast<double>(s.ssm_multipliers[i]));
  }
  FillRange(out.in_scale, at.q, at.total, static_cast<double>(s.attention_in_multiplier));
  FillRange(out.in_scale, at.k, at.v,
            static_cast<double>(s.attention_in_multiplier) * static_cast<double>(s.key_multiplier));

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

void PackMatrices(const ModelShape& s, const LayerWeights& from, PackedModel& model,
                  PackedLayer& out) {
  const InColumns at(s);
  const std::array<MatrixPart, 4> in = {
      {{&from.ssm_in, 0, 0}, {&from.q, at.q, 0}, {&from.k, at.k, 0}, {&from.v, at.v, 0}}};
  out.in = Linear(model.products, at.total, s.hidden, in, model.kind);
  const std::array<MatrixPart, 2> branches = {{{&from.ssm_out, 0, 0}, {&from.o, 0, s.ssm_inner}}};
  out.out = Linear(model.products, s.hidden, s.ssm_inner + s.query_rows(), branches, model.kind);
  const std::array<MatrixPart, 2> gate_up = {{{&from.gate, 0, 0}, {&from.up, s.intermediate, 0}}};
  out.gate_up = Linear(model.products, 2 * s.intermediate, s.hidden, gate_up, model.kind);
  const std::array<MatrixPart, 1> down = {{{&from.down, 0, 0}}};
  out.down = Linear(model.products, s.hidden, s.intermediate, down, model.kind);
  model.bytes += out.in.bytes() + out.out.bytes() + out.gate_up.bytes() + out.down.bytes();
}

PackedLayer PackLayer(const ModelShape& s, const LayerWeights& from, PackedModel& model) {
  PackedLayer out;
  PackMatrices(s, from, model, out);
  InEpilogue(s, from, out);
  out.input_norm = ToFloats(from.input_norm);
  out.conv = TapsFirst(from.conv, s.conv_channels(), s.conv_taps);
  out.conv_bias = ToFloats(from.conv_bias);
  out.dt_bias = ToFloats(from.dt_bias);
  out.a = ToFloats(from.a_log);
  for (float& a : out.a) a = static_cast<float>(-std::exp(static_cast<double>(a)));
  out.d_skip = ToFloats(from.d_skip);
  if (s.gated_norm) out.ssm_norm = ToFloats(from.ssm_norm);
  AddBias(out.out_bias, s.hidden, from.ssm_out_bias, 0, static_cast<double>(s.ssm_out_multiplier));
  AddBias(out.out_bias, s.hidden, from.o_bias, 0, static_cast<double>(s.attention_out_multiplier));
  out.ff_norm = ToFloats(from.ff_norm);
  out.gate_bias = ToFloats(from.gate_bias);
  out.up_bias = ToFloats(from.up_bias);
  AddBias(out.down_bias, s.hidden, from.down_bias, 0, static_cast<double>(s.mlp_multipliers[1]));
  for (const Floats* v : {&out.input_norm, &out.in_scale, &out.in_bias, &out.conv, &out.conv_bias,
                          &out.dt_bias, &out.a, &out.d_skip, &out.ssm_norm, &out.out_bias,
                          &out.ff_norm, &out.gate_bias, &out.up_bias, &out.down_bias}) {
    model.bytes += static_cast<std::int64_t>(v->size() * sizeof(float));
  }
  return out;
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

ActKind KindFor(Precision precision) {
  if (precision == Precision::kFp32) return ActKind::kF32;
  return HasBf16Products() ? ActKind::kBf16 : ActKind::kF32Rounded;
}

void PackWeights(const ModelShape& s, const ModelWeights& weights, Precision precision,
                 PackedModel& out) {
  out.kind = KindFor(precision);
  out.embedding_bf16 = precision == Precision::kBf16;
  const ActKind stored = out.embedding_bf16 ? ActKind::kBf16 : ActKind::kF32;
  out.embedding = Buffer(s.vocab * s.hidden * ActBytes(stored));
  ParallelFor(s.vocab, [&](std::int64_t row) {
    Convert(weights.embedding, row * s.hidden, s.hidden, stored,
            out.embedding.data() + row * s.hidden * ActBytes(stored));
  });
  for (const LayerWeights& layer : weights.layers) out.layers.push_back(PackLayer(s, layer, out));
  out.final_norm = ToFloats(weights.final_norm);
  const std::array<MatrixPart, 1> head = {{{&weights.lm_head, 0, 0}}};
  out.head = Linear(out.products, s.vocab, s.hidden, head, out.kind);
  out.bytes += out.embedding.size() + out.head.bytes() +
               static_cast<std::int64_t>(out.final_norm.size() * 4);
}

}  // namespace h1bench::cpu

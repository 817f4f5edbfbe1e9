#include "kernels/cpu/weights.h"

#include <utility>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/threads.h"

namespace h1bench::cpu {
namespace {

using Floats = std::vector<float>;

void PackMatrices(const ModelShape& s, const LayerWeights& from, PackedModel& model,
                  PackedLayer& out) {
  const InColumns at(s);
  const std::array<MatrixPart, 4> in = {
      {{&from.ssm_in, 0, 0}, {&from.q, at.q, 0}, {&from.k, at.k, 0}, {&from.v, at.v, 0}}};
  out.in = Linear(at.total, s.hidden, in, model.kind);
  const std::array<MatrixPart, 2> branches = {{{&from.ssm_out, 0, 0}, {&from.o, 0, s.ssm_inner}}};
  out.out = Linear(s.hidden, s.ssm_inner + s.query_rows(), branches, model.kind);
  const std::array<MatrixPart, 2> gate_up = {{{&from.gate, 0, 0}, {&from.up, s.intermediate, 0}}};
  out.gate_up = Linear(2 * s.intermediate, s.hidden, gate_up, model.kind);
  const std::array<MatrixPart, 1> down = {{{&from.down, 0, 0}}};
  out.down = Linear(s.hidden, s.intermediate, down, model.kind);
  model.bytes += out.in.bytes() + out.out.bytes() + out.gate_up.bytes() + out.down.bytes();
}

PackedLayer PackLayer(const ModelShape& s, const LayerWeights& from, PackedModel& model) {
  PackedLayer out;
  PackMatrices(s, from, model, out);
  common::LayerVectors vectors = common::MakeLayerVectors(s, from);
  out.in_scale = std::move(vectors.in_scale);
  out.in_bias = std::move(vectors.in_bias);
  out.conv = std::move(vectors.conv);
  out.a = std::move(vectors.a);
  out.out_bias = std::move(vectors.out_bias);
  out.down_bias = std::move(vectors.down_bias);
  out.input_norm = ToFloats(from.input_norm);
  out.conv_bias = ToFloats(from.conv_bias);
  out.dt_bias = ToFloats(from.dt_bias);
  out.d_skip = ToFloats(from.d_skip);
  if (s.gated_norm) out.ssm_norm = ToFloats(from.ssm_norm);
  out.ff_norm = ToFloats(from.ff_norm);
  out.gate_bias = ToFloats(from.gate_bias);
  out.up_bias = ToFloats(from.up_bias);
  for (const Floats* v : {&out.input_norm, &out.in_scale, &out.in_bias, &out.conv, &out.conv_bias,
                          &out.dt_bias, &out.a, &out.d_skip, &out.ssm_norm, &out.out_bias,
                          &out.ff_norm, &out.gate_bias, &out.up_bias, &out.down_bias}) {
    model.bytes += static_cast<std::int64_t>(v->size() * sizeof(float));
  }
  return out;
}

}  // namespace

ActKind KindFor(Precision precision) {
  if (precision == Precision::kFp32) return ActKind::kF32;
  return Kernels().bf16_kind;
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
  weights.Taken(weights.embedding);
  for (const LayerWeights& layer : weights.layers) {
    out.layers.push_back(PackLayer(s, layer, out));
    weights.Taken(layer);
  }
  out.final_norm = ToFloats(weights.final_norm);
  const std::array<MatrixPart, 1> head = {{{&weights.lm_head, 0, 0}}};
  out.head = Linear(s.vocab, s.hidden, head, out.kind);
  weights.Taken(weights.lm_head);
  out.bytes += out.embedding.size() + out.head.bytes() +
               static_cast<std::int64_t>(out.final_norm.size() * 4);
}

}  // namespace h1bench::cpu

#include "kernels/cpu/layer.h"

#include <cstring>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/mixer.h"
#include "kernels/cpu/rope.h"
#include "kernels/cpu/threads.h"

namespace h1bench::cpu {
namespace {

const float* OrNull(const std::vector<float>& values) {
  return values.empty() ? nullptr : values.data();
}

void NormRow(const LayerContext& c, const std::vector<float>& weight, std::int64_t row) {
  const std::int64_t d = c.shape.hidden;
  c.kernels.rms_norm(c.work.x.floats() + row * d, weight.data(), d, c.shape.norm_eps, c.model.kind,
                     c.work.act.data() + row * d * ActBytes(c.model.kind));
}

/// work.x += work.out * scale + bias; then, while the row is in a cache, its norm into work.act.
void AddOut(const LayerContext& c, float scale, const std::vector<float>& bias,
            const std::vector<float>* norm, std::int64_t rows) {
  const std::int64_t d = c.shape.hidden;
  ParallelRows(rows, [&](std::int64_t row) {
    c.kernels.add_scaled(c.work.x.floats() + row * d, c.work.out.floats() + row * d, scale,
                         OrNull(bias), d);
    if (norm != nullptr) NormRow(c, *norm, row);
  });
}

}  // namespace

void FillAngles(const LayerContext& c) {
  const std::int64_t half = c.shape.head_dim / 2;
  const std::vector<double> frequencies = RopeFrequencies(c.shape);
  ParallelRows(c.batch.rows(), [&](std::int64_t row) {
    RopeAngles(frequencies, c.batch.positions[static_cast<std::size_t>(row)],
               c.work.cos.floats() + row * half, c.work.sin.floats() + row * half);
  });
}

void Embed(const LayerContext& c) {
  const std::int64_t d = c.shape.hidden;
  ParallelRows(c.batch.rows(), [&](std::int64_t row) {
    const std::int64_t at = c.batch.ids[static_cast<std::size_t>(row)] * d;
    float* x = c.work.x.floats() + row * d;
    for (std::int64_t i = 0; i < d; ++i) {
      const float value =
          c.model.embedding_bf16
              ? FromBf16(reinterpret_cast<const std::uint16_t*>(c.model.embedding.data())[at + i])
              : c.model.embedding.floats()[at + i];
      x[i] = value * c.shape.embedding_multiplier;
    }
  });
}

void Norm(const LayerContext& c, const std::vector<float>& weight, std::int64_t rows) {
  ParallelRows(rows, [&](std::int64_t row) { NormRow(c, weight, row); });
}

void Mix(const LayerContext& c, std::int64_t layer) {
  const PackedLayer& weights = c.model.layers[static_cast<std::size_t>(layer)];
  weights.in.Run(c.work.act.data(), c.work.wide.floats(), c.batch.rows());
  PointAtLayer(c.batch, c.layout, layer, c.work.kv_scratch.data());
  ScaleAndRotate(c, weights);
  Convolve(c, weights, layer);
  ScanAndAttend(c, weights, layer);
  Gate(c, weights);
}

void AddMixed(const LayerContext& c, const PackedLayer& layer, std::int64_t rows) {
  layer.out.Run(c.work.act.data(), c.work.out.floats(), rows);
  AddOut(c, 1.0F, layer.out_bias, &layer.ff_norm, rows);
}

void AddMlp(const LayerContext& c, const PackedLayer& layer, const std::vector<float>* next_norm,
            std::int64_t rows) {
  const std::int64_t width = c.shape.intermediate;
  layer.gate_up.Run(c.work.act.data(), c.work.wide.floats(), rows);
  ParallelRows(rows, [&](std::int64_t row) {
    const float* gate = c.work.wide.floats() + row * 2 * width;
    c.kernels.swiglu(gate, gate + width, OrNull(layer.gate_bias), OrNull(layer.up_bias),
                     c.shape.mlp_multipliers[0], width, c.model.kind,
                     c.work.act.data() + row * width * ActBytes(c.model.kind));
  });
  layer.down.Run(c.work.act.data(), c.work.out.floats(), rows);
  AddOut(c, c.shape.mlp_multipliers[1], layer.down_bias, next_norm, rows);
}

void KeepAskedRows(const LayerContext& c) {
  const std::int64_t x_bytes = c.shape.hidden * 4;
  const std::int64_t act_bytes =
      (c.shape.ssm_inner + c.shape.query_rows()) * ActBytes(c.model.kind);
  for (std::size_t i = 0; i < c.batch.asked.size(); ++i) {
    const std::int64_t from = c.batch.asked[i], to = static_cast<std::int64_t>(i);
    if (from == to) continue;
    std::memmove(c.work.x.data() + to * x_bytes, c.work.x.data() + from * x_bytes,
                 static_cast<std::size_t>(x_bytes));
    std::memmove(c.work.act.data() + to * act_bytes, c.work.act.data() + from * act_bytes,
                 static_cast<std::size_t>(act_bytes));
  }
}

}  // namespace h1bench::cpu

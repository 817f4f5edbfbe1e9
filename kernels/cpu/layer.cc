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

/// Row `i` of the range.
void NormRow(const LayerContext& c, const std::vector<float>& weight, RowRange rows,
             std::int64_t i) {
  const std::int64_t d = c.shape.hidden;
  c.kernels.rms_norm(c.work.x.floats() + (rows.first + i) * d, weight.data(), d, c.shape.norm_eps,
                     c.model.kind, c.work.act.data() + i * d * ActBytes(c.model.kind));
}

/// work.x += work.out * scale + bias; then, while the row is in a cache, its norm into work.act.
void AddOut(const LayerContext& c, float scale, const std::vector<float>& bias,
            const std::vector<float>* norm, RowRange rows) {
  const std::int64_t d = c.shape.hidden;
  ParallelRows(rows.count, [&](std::int64_t i) {
    c.kernels.add_scaled(c.work.x.floats() + (rows.first + i) * d, c.work.out.floats() + i * d,
                         scale, OrNull(bias), d);
    if (norm != nullptr) NormRow(c, *norm, rows, i);
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

void Norm(const LayerContext& c, const std::vector<float>& weight, RowRange rows) {
  ParallelRows(rows.count, [&](std::int64_t i) { NormRow(c, weight, rows, i); });
}

void Mix(const LayerContext& c, const RowBlock& block, std::int64_t layer) {
  const PackedLayer& weights = c.model.layers[static_cast<std::size_t>(layer)];
  weights.in.Run(c.work.act.data(), c.work.wide.floats(), block.rows);
  ScaleAndRotate(c, block, weights);
  Convolve(c, block, weights, layer);
  ScanAndAttend(c, block, weights, layer);
  Gate(c, block, weights);
}

void AddMixed(const LayerContext& c, const PackedLayer& layer, RowRange rows) {
  layer.out.Run(c.work.act.data(), c.work.out.floats(), rows.count);
  AddOut(c, 1.0F, layer.out_bias, &layer.ff_norm, rows);
}

void AddMlp(const LayerContext& c, const PackedLayer& layer, const std::vector<float>* next_norm,
            RowRange rows) {
  const std::int64_t width = c.shape.intermediate;
  layer.gate_up.Run(c.work.act.data(), c.work.wide.floats(), rows.count);
  ParallelRows(rows.count, [&](std::int64_t row) {
    const float* gate = c.work.wide.floats() + row * 2 * width;
    c.kernels.swiglu(gate, gate + width, OrNull(layer.gate_bias), OrNull(layer.up_bias),
                     c.shape.mlp_multipliers[0], width, c.model.kind,
                     c.work.act.data() + row * width * ActBytes(c.model.kind));
  });
  layer.down.Run(c.work.act.data(), c.work.out.floats(), rows.count);
  AddOut(c, c.shape.mlp_multipliers[1], layer.down_bias, next_norm, rows);
}

RowRange KeepAskedRows(const LayerContext& c, const RowBlock& block) {
  const std::int64_t x_bytes = c.shape.hidden * 4;
  const std::int64_t act_bytes =
      (c.shape.ssm_inner + c.shape.query_rows()) * ActBytes(c.model.kind);
  const auto move = [](Buffer& rows, std::int64_t from, std::int64_t to, std::int64_t bytes) {
    if (from == to) return;
    std::memcpy(rows.data() + to * bytes, rows.data() + from * bytes,
                static_cast<std::size_t>(bytes));
  };
  for (std::int64_t i = block.first_asked; i < block.asked_end; ++i) {
    const std::int64_t row = c.batch.asked[static_cast<std::size_t>(i)];
    move(c.work.x, row, i, x_bytes);
    move(c.work.act, row - block.first_row, i - block.first_asked, act_bytes);
  }
  return {block.first_asked, block.asked_end - block.first_asked};
}

}  // namespace h1bench::cpu

#include "kernels/cpu/mixer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/threads.h"

namespace h1bench::cpu {
namespace {

/// softplus as FALCON_H1.md 4.3: the identity above 20.
float Softplus(float x) {
  return x > 20.0F ? x : static_cast<float>(std::log1p(std::exp(static_cast<double>(x))));
}

void TimeSteps(const LayerContext& c, const PackedLayer& w, const float* raw, std::int64_t row) {
  const std::int64_t heads = c.shape.ssm_heads;
  float* dt = c.work.dt.floats() + row * heads;
  float* decay = c.work.decay.floats() + row * heads;
  for (std::int64_t h = 0; h < heads; ++h) {
    const auto i = static_cast<std::size_t>(h);
    const float value = Softplus(raw[h] + w.dt_bias[i]);
    dt[h] = value < c.shape.dt_min   ? c.shape.dt_min
            : value > c.shape.dt_max ? c.shape.dt_max
                                     : value;
    decay[h] = dt[h] * w.a[i];
  }
  c.kernels.exp(decay, heads, decay);
}

/// NeoX pairing: element i turns with element i + hd / 2.
void Rotate(float* v, const float* cos, const float* sin, std::int64_t half) {
  for (std::int64_t i = 0; i < half; ++i) {
    const float a = v[i], b = v[i + half];
    v[i] = a * cos[i] - b * sin[i];
    v[i + half] = b * cos[i] + a * sin[i];
  }
}

/// Key and value of one position into its block (table.h, kKvBlock), `step` numbers of a chain side
/// by side. `last`: nobody writes the next position, so the partner of its value becomes 0.
template <typename T, typename Round>
void StoreKv(const float* k, const float* v, std::int64_t hd, std::int64_t lane, std::int64_t step,
             bool last, T* block, Round round) {
  for (std::int64_t i = 0; i < hd; ++i)
    block[(i / step * kKvBlock + lane) * step + i % step] = round(k[i]);
  const std::int64_t padded = PadLanes(hd), place = lane % step;
  T* values = block + hd * kKvBlock + (lane - place) * padded + place;
  for (std::int64_t i = 0; i < hd; ++i) values[i * step] = round(v[i]);
  for (std::int64_t i = hd; i < padded; ++i) values[i * step] = T{};
  if (!last || place + 1 >= step) return;
  for (std::int64_t i = 0; i < padded; ++i) values[i * step + 1] = T{};
}

void AppendKv(const LayerContext& c, const float* k, const float* v, std::int64_t row) {
  const std::int64_t position = c.batch.positions[static_cast<std::size_t>(row)],
                     hd = c.shape.head_dim, lane = position % kKvBlock;
  const BatchSegment& segment =
      c.batch.segments[static_cast<std::size_t>(c.batch.segment_of[static_cast<std::size_t>(row)])];
  const bool last = row + 1 == segment.first_row + segment.rows;
  std::byte* block = segment.blocks[static_cast<std::size_t>(position / kKvBlock)];
  for (std::int64_t h = 0; h < c.shape.kv_heads; ++h, block += c.layout.kv_block_bytes) {
    if (c.layout.kv_bf16) {
      StoreKv(k + h * hd, v + h * hd, hd, lane, c.kernels.kv_step, last,
              reinterpret_cast<std::uint16_t*>(block), ToBf16);
    } else {
      StoreKv(k + h * hd, v + h * hd, hd, lane, 1, last, reinterpret_cast<float*>(block),
              [](float value) { return value; });
    }
  }
}

const float* Tail(const LayerContext& c, const Buffer& state, std::int64_t layer) {
  return state.floats() + c.layout.layers * c.layout.ssm_floats + layer * c.layout.tail_floats;
}

/// The conv input of row `row` of a segment; negative rows lie in the tail, null before the
/// sequence began.
const float* ConvInput(const LayerContext& c, const BatchSegment& s, std::int64_t row,
                       std::int64_t layer) {
  const InColumns at(c.shape);
  if (row >= 0) return c.work.wide.floats() + (s.first_row + row) * at.total + at.x;
  if (s.state_in == nullptr) return nullptr;
  return Tail(c, *s.state_in, layer) + (row + c.shape.conv_taps - 1) * c.shape.conv_channels();
}

/// The last K - 1 conv inputs become the tail. In place it only moves rows towards the front, in
/// that order.
void StoreTail(const LayerContext& c, const BatchSegment& s, std::int64_t layer) {
  if (s.state_out == nullptr) return;
  const std::int64_t channels = c.shape.conv_channels(), rows = c.shape.conv_taps - 1;
  auto* to = const_cast<float*>(Tail(c, *s.state_out, layer));
  for (std::int64_t i = 0; i < rows; ++i, to += channels) {
    const float* from = ConvInput(c, s, s.rows - rows + i, layer);
    if (from == nullptr) {
      std::memset(to, 0, static_cast<std::size_t>(channels) * 4);
    } else if (from != to) {
      std::memmove(to, from, static_cast<std::size_t>(channels) * 4);
    }
  }
}

float* ThreadScratch(const LayerContext& c) {
  return reinterpret_cast<float*>(c.work.per_thread.data() + ThreadIndex() * c.work.thread_bytes);
}

void ScanHead(const LayerContext& c, const PackedLayer& w, const BatchSegment& s,
              std::int64_t layer, std::int64_t h) {
  const ModelShape& m = c.shape;
  const std::int64_t channels = m.conv_channels(), row = s.first_row;
  const std::int64_t group = h / (m.ssm_heads / m.ssm_groups);
  const float* conv = c.work.conv.floats() + row * channels;
  const std::int64_t at = layer * c.layout.ssm_floats + h * c.layout.head_floats;
  SsdArgs args{};
  args.state_in = s.state_in == nullptr ? nullptr : s.state_in->floats() + at;
  args.state_out = s.state_out == nullptr ? nullptr : s.state_out->floats() + at;
  args.x = conv + h * m.ssm_head_dim;
  args.b = conv + m.ssm_inner + group * m.ssm_state;
  args.c = args.b + m.ssm_groups * m.ssm_state;
  args.stride = channels;
  args.dt = c.work.dt.floats() + row * m.ssm_heads + h;
  args.decay = c.work.decay.floats() + row * m.ssm_heads + h;
  args.dt_stride = m.ssm_heads;
  args.d_skip = w.d_skip[static_cast<std::size_t>(h)];
  args.y = c.work.y.floats() + row * m.ssm_inner + h * m.ssm_head_dim;
  args.y_stride = m.ssm_inner;
  args.tokens = s.rows;
  args.head_dim = m.ssm_head_dim;
  args.state = m.ssm_state;
  args.scratch = ThreadScratch(c);
  c.kernels.ssd(args);
}

void Attend(const LayerContext& c, const BatchSegment& s, std::int64_t kv_head,
            std::int64_t first) {
  const ModelShape& m = c.shape;
  const InColumns at(m);
  const std::int64_t group = m.heads / m.kv_heads, row = s.first_row + first;
  std::vector<const void*> blocks(s.blocks.size());
  for (std::size_t i = 0; i < blocks.size(); ++i)
    blocks[i] = s.blocks[i] + kv_head * c.layout.kv_block_bytes;
  AttentionArgs args{};
  args.q = c.work.wide.floats() + row * at.total + at.q + kv_head * group * m.head_dim;
  args.q_stride = at.total;
  args.rows = std::min(kQueryRows, s.rows - first);
  args.heads = group;
  args.head_dim = m.head_dim;
  args.first_position = s.position + first;
  args.blocks = blocks.data();
  args.kv_bf16 = c.layout.kv_bf16;
  args.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(m.head_dim)));
  args.out_scale = m.attention_out_multiplier;
  args.out_stride = m.ssm_inner + m.query_rows();
  args.kind = c.model.kind;
  args.out =
      reinterpret_cast<unsigned char*>(c.work.act.data()) +
      (row * args.out_stride + m.ssm_inner + kv_head * group * m.head_dim) * ActBytes(args.kind);
  args.scratch = ThreadScratch(c);
  c.kernels.attention(args);
}

struct Task {
  const BatchSegment* segment;
  std::int64_t head;   // the first SSM head, kv head, or -1: the conv tail
  std::int64_t first;  // first row of an attention task; -1: not one
  std::int64_t heads;  // SSM heads
};

/// SSM heads of one task: neighbours when there are plenty and each has few tokens, because then
/// the time goes into reading states, and one long stretch of memory is read faster than two short
/// ones by two cores.
std::int64_t HeadsOfTask(const LayerContext& c) {
  const auto segments = static_cast<std::int64_t>(c.batch.segments.size());
  const std::int64_t threads = CurrentPool() == nullptr ? 1 : CurrentPool()->threads();
  const bool plenty = segments * c.shape.ssm_heads >= 32 * threads;
  return plenty && c.batch.rows() <= 4 * segments ? 4 : 1;
}

/// Long attention tasks first, so that no thread is left with one at the end.
std::vector<Task> Tasks(const LayerContext& c) {
  std::vector<Task> tasks;
  const std::int64_t heads = HeadsOfTask(c);
  for (const BatchSegment& s : c.batch.segments) {
    for (std::int64_t first = (s.rows - 1) / kQueryRows * kQueryRows; first >= 0;
         first -= kQueryRows) {
      for (std::int64_t h = 0; h < c.shape.kv_heads; ++h) tasks.push_back({&s, h, first, 0});
    }
  }
  for (const BatchSegment& s : c.batch.segments) {
    for (std::int64_t h = 0; h < c.shape.ssm_heads; h += heads)
      tasks.push_back({&s, h, -1, std::min(heads, c.shape.ssm_heads - h)});
    tasks.push_back({&s, -1, -1, 0});
  }
  return tasks;
}

}  // namespace

void ScaleAndRotate(const LayerContext& c, const PackedLayer& w) {
  const InColumns at(c.shape);
  const std::int64_t half = c.shape.head_dim / 2, hd = c.shape.head_dim;
  ParallelRows(c.batch.rows(), [&](std::int64_t row) {
    float* u = c.work.wide.floats() + row * at.total;
    c.kernels.affine(u, w.in_scale.data(), w.in_bias.empty() ? nullptr : w.in_bias.data(),
                     at.total);
    const float* cos = c.work.cos.floats() + row * half;
    const float* sin = c.work.sin.floats() + row * half;
    for (std::int64_t v = at.q; v < at.v; v += hd) Rotate(u + v, cos, sin, half);
    AppendKv(c, u + at.k, u + at.v, row);
    TimeSteps(c, w, u + at.dt, row);
  });
}

void Convolve(const LayerContext& c, const PackedLayer& w, std::int64_t layer) {
  const std::int64_t channels = c.shape.conv_channels(), taps = c.shape.conv_taps;
  const std::vector<float> zeros(static_cast<std::size_t>(channels), 0.0F);
  ParallelRows(c.batch.rows(), [&](std::int64_t row) {
    const BatchSegment& s =
        c.batch
            .segments[static_cast<std::size_t>(c.batch.segment_of[static_cast<std::size_t>(row)])];
    std::vector<const float*> inputs(static_cast<std::size_t>(taps));
    for (std::int64_t k = 0; k < taps; ++k) {
      const float* input = ConvInput(c, s, row - s.first_row - (taps - 1) + k, layer);
      inputs[static_cast<std::size_t>(k)] = input == nullptr ? zeros.data() : input;
    }
    c.kernels.conv(inputs.data(), w.conv.data(), w.conv_bias.empty() ? nullptr : w.conv_bias.data(),
                   taps, channels, c.work.conv.floats() + row * channels);
  });
}

void ScanAndAttend(const LayerContext& c, const PackedLayer& w, std::int64_t layer) {
  const std::vector<Task> tasks = Tasks(c);
  ParallelFor(static_cast<std::int64_t>(tasks.size()), [&](std::int64_t i) {
    const Task& task = tasks[static_cast<std::size_t>(i)];
    if (task.first >= 0) {
      Attend(c, *task.segment, task.head, task.first);
    } else if (task.head >= 0) {
      for (std::int64_t h = 0; h < task.heads; ++h)
        ScanHead(c, w, *task.segment, layer, task.head + h);
    } else {
      StoreTail(c, *task.segment, layer);
    }
  });
}

void Gate(const LayerContext& c, const PackedLayer& w) {
  const ModelShape& m = c.shape;
  const InColumns at(m);
  const std::int64_t width = m.ssm_inner + m.query_rows();
  ParallelRows(c.batch.rows(), [&](std::int64_t row) {
    c.kernels.gate(c.work.y.floats() + row * m.ssm_inner,
                   c.work.wide.floats() + row * at.total + at.z,
                   w.ssm_norm.empty() ? nullptr : w.ssm_norm.data(), m.ssm_inner, m.ssm_groups,
                   m.norm_before_gate, m.norm_eps, m.ssm_out_multiplier, c.model.kind,
                   c.work.act.data() + row * width * ActBytes(c.model.kind));
  });
}

}  // namespace h1bench::cpu

#include "kernels/cpu/mixer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/threads.h"

namespace h1bench::cpu {
namespace {

/// How the columns from `column` on are read from the wide product's result.
InAffine AffineAt(const PackedLayer& w, std::int64_t column) {
  return {w.in_scale.data() + column, w.in_bias.empty() ? nullptr : w.in_bias.data() + column};
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

const BatchPiece& PieceOf(const RowBlock& block, std::int64_t row) {
  return block.pieces[static_cast<std::size_t>(block.piece_of[static_cast<std::size_t>(row)])];
}

void AppendKv(const LayerContext& c, const RowBlock& block, const float* k, const float* v,
              std::int64_t row) {
  const BatchPiece& piece = PieceOf(block, row);
  const std::int64_t position = piece.position() + row - piece.row, hd = c.shape.head_dim,
                     lane = position % kKvBlock;
  // Later blocks write on, but before that the rows of this one are multiplied.
  const bool last = row + 1 == piece.row + piece.rows;
  std::byte* to = piece.segment->blocks[static_cast<std::size_t>(position / kKvBlock)];
  for (std::int64_t h = 0; h < c.shape.kv_heads; ++h, to += c.layout.kv_block_bytes) {
    if (c.layout.kv_bf16) {
      StoreKv(k + h * hd, v + h * hd, hd, lane, c.kernels.kv_step, last,
              reinterpret_cast<std::uint16_t*>(to), ToBf16);
    } else {
      StoreKv(k + h * hd, v + h * hd, hd, lane, 1, last, reinterpret_cast<float*>(to),
              [](float value) { return value; });
    }
  }
}

/// One layer's SSM state and conv tail, where a piece finds them (null: zeros) or leaves them
/// (null: nowhere).
struct LayerState {
  float *ssm, *tail;
};

LayerState InSlot(const LayerContext& c, const Buffer* state, std::int64_t layer) {
  if (state == nullptr) return {nullptr, nullptr};
  return {state->floats() + layer * c.layout.ssm_floats,
          state->floats() + c.layout.layers * c.layout.ssm_floats + layer * c.layout.tail_floats};
}

/// What a segment that goes on in the next block leaves there. Two of them, as in one block one
/// segment may end that began before and another begin.
LayerState Carried(const LayerContext& c, std::int64_t block) {
  float* const begin = c.work.carried.floats() + block % 2 * c.layout.layer_floats();
  return {begin, begin + c.layout.ssm_floats};
}

LayerState StateBefore(const LayerContext& c, const RowBlock& block, const BatchPiece& piece,
                       std::int64_t layer) {
  return piece.begins() ? InSlot(c, piece.segment->state_in.get(), layer)
                        : Carried(c, block.index - 1);
}

LayerState StateAfter(const LayerContext& c, const RowBlock& block, const BatchPiece& piece,
                      std::int64_t layer) {
  return piece.ends() ? InSlot(c, piece.segment->state_out.get(), layer) : Carried(c, block.index);
}

/// The conv input of row `row` of a piece, as the product left it; negative rows lie in the tail,
/// null before the sequence began.
const float* ConvInput(const LayerContext& c, const BatchPiece& piece, const float* tail,
                       std::int64_t row) {
  const InColumns at(c.shape);
  if (row >= 0) return c.work.wide.floats() + (piece.row + row) * at.total + at.x;
  if (piece.position() + row < 0) return nullptr;
  return tail + (row + c.shape.conv_taps - 1) * c.shape.conv_channels();
}

/// The last K - 1 conv inputs become the tail. In place it only moves rows towards the front, in
/// that order.
void StoreTail(const LayerContext& c, const RowBlock& block, const BatchPiece& piece,
               std::int64_t layer) {
  float* to = StateAfter(c, block, piece, layer).tail;
  if (to == nullptr) return;
  const float* const tail = StateBefore(c, block, piece, layer).tail;
  const std::int64_t channels = c.shape.conv_channels(), rows = c.shape.conv_taps - 1;
  for (std::int64_t i = 0; i < rows; ++i, to += channels) {
    const float* from = ConvInput(c, piece, tail, piece.rows - rows + i);
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

void ScanHead(const LayerContext& c, const RowBlock& block, const PackedLayer& w,
              const BatchPiece& piece, std::int64_t layer, std::int64_t h) {
  const ModelShape& m = c.shape;
  const std::int64_t channels = m.conv_channels(), row = piece.row;
  const std::int64_t group = h / (m.ssm_heads / m.ssm_groups);
  const float* conv = c.work.conv.floats() + row * channels;
  const std::int64_t at = h * c.layout.head_floats;
  const float* before = StateBefore(c, block, piece, layer).ssm;
  float* after = StateAfter(c, block, piece, layer).ssm;
  SsdArgs args{};
  args.state_in = before == nullptr ? nullptr : before + at;
  args.state_out = after == nullptr ? nullptr : after + at;
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
  args.tokens = piece.rows;
  args.head_dim = m.ssm_head_dim;
  args.state = m.ssm_state;
  args.scratch = ThreadScratch(c);
  c.kernels.ssd(args);
}

void Attend(const LayerContext& c, const BatchPiece& piece, std::int64_t kv_head,
            std::int64_t first) {
  const ModelShape& m = c.shape;
  const InColumns at(m);
  const std::int64_t group = m.heads / m.kv_heads, row = piece.row + first;
  std::vector<const void*> blocks(piece.segment->blocks.size());
  for (std::size_t i = 0; i < blocks.size(); ++i)
    blocks[i] = piece.segment->blocks[i] + kv_head * c.layout.kv_block_bytes;
  AttentionArgs args{};
  args.q = c.work.wide.floats() + row * at.total + at.q + kv_head * group * m.head_dim;
  args.q_stride = at.total;
  args.rows = std::min(kQueryRows, piece.rows - first);
  args.heads = group;
  args.head_dim = m.head_dim;
  args.first_position = piece.position() + first;
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
  const BatchPiece* piece;
  std::int64_t head;   // the first SSM head, kv head, or -1: the conv tail
  std::int64_t first;  // first row of an attention task; -1: not one
  std::int64_t heads;  // SSM heads
};

/// SSM heads of one task: neighbours when there are plenty and each has few tokens, because then
/// the time goes into reading states, and one long stretch of memory is read faster than two short
/// ones by two cores.
std::int64_t HeadsOfTask(const LayerContext& c, const RowBlock& block) {
  const auto pieces = static_cast<std::int64_t>(block.pieces.size());
  const std::int64_t threads = CurrentPool() == nullptr ? 1 : CurrentPool()->threads();
  const bool plenty = pieces * c.shape.ssm_heads >= 32 * threads;
  return plenty && block.rows <= 4 * pieces ? 4 : 1;
}

/// Long attention tasks first, so that no thread is left with one at the end.
std::vector<Task> Tasks(const LayerContext& c, const RowBlock& block) {
  std::vector<Task> tasks;
  const std::int64_t heads = HeadsOfTask(c, block);
  for (const BatchPiece& piece : block.pieces) {
    for (std::int64_t first = (piece.rows - 1) / kQueryRows * kQueryRows; first >= 0;
         first -= kQueryRows) {
      for (std::int64_t h = 0; h < c.shape.kv_heads; ++h) tasks.push_back({&piece, h, first, 0});
    }
  }
  for (const BatchPiece& piece : block.pieces) {
    for (std::int64_t h = 0; h < c.shape.ssm_heads; h += heads)
      tasks.push_back({&piece, h, -1, std::min(heads, c.shape.ssm_heads - h)});
    tasks.push_back({&piece, -1, -1, 0});
  }
  return tasks;
}

}  // namespace

void ScaleAndRotate(const LayerContext& c, const RowBlock& block, const PackedLayer& w) {
  const ModelShape& m = c.shape;
  const InColumns at(m);
  const InAffine in = AffineAt(w, at.dt);  // what lies before is scaled by those who read it
  const std::int64_t half = m.head_dim / 2, hd = m.head_dim, heads = m.ssm_heads;
  ParallelRows(block.rows, [&](std::int64_t row) {
    float* u = c.work.wide.floats() + row * at.total;
    c.kernels.affine(u + at.dt, in.scale, in.bias, at.total - at.dt);
    const float* cos = c.work.cos.floats() + (block.first_row + row) * half;
    const float* sin = c.work.sin.floats() + (block.first_row + row) * half;
    for (std::int64_t v = at.q; v < at.v; v += hd) Rotate(u + v, cos, sin, half);
    AppendKv(c, block, u + at.k, u + at.v, row);
    c.kernels.time_steps(u + at.dt, w.dt_bias.data(), w.a.data(), m.dt_min, m.dt_max, heads,
                         c.work.dt.floats() + row * heads, c.work.decay.floats() + row * heads);
  });
}

void Convolve(const LayerContext& c, const RowBlock& block, const PackedLayer& w,
              std::int64_t layer) {
  const std::int64_t channels = c.shape.conv_channels(), taps = c.shape.conv_taps;
  const InAffine in = AffineAt(w, InColumns(c.shape).x);
  ParallelRows(block.rows, [&](std::int64_t row) {
    const BatchPiece& piece = PieceOf(block, row);
    const float* const tail = StateBefore(c, block, piece, layer).tail;
    std::vector<const float*> inputs(static_cast<std::size_t>(taps));
    for (std::int64_t k = 0; k < taps; ++k)
      inputs[static_cast<std::size_t>(k)] =
          ConvInput(c, piece, tail, row - piece.row - (taps - 1) + k);
    c.kernels.conv(inputs.data(), in, w.conv.data(),
                   w.conv_bias.empty() ? nullptr : w.conv_bias.data(), taps, channels,
                   c.work.conv.floats() + row * channels);
  });
}

void ScanAndAttend(const LayerContext& c, const RowBlock& block, const PackedLayer& w,
                   std::int64_t layer) {
  const std::vector<Task> tasks = Tasks(c, block);
  ParallelFor(static_cast<std::int64_t>(tasks.size()), [&](std::int64_t i) {
    const Task& task = tasks[static_cast<std::size_t>(i)];
    if (task.first >= 0) {
      Attend(c, *task.piece, task.head, task.first);
    } else if (task.head >= 0) {
      for (std::int64_t h = 0; h < task.heads; ++h)
        ScanHead(c, block, w, *task.piece, layer, task.head + h);
    } else {
      StoreTail(c, block, *task.piece, layer);
    }
  });
}

void Gate(const LayerContext& c, const RowBlock& block, const PackedLayer& w) {
  const ModelShape& m = c.shape;
  const InColumns at(m);
  const std::int64_t width = m.ssm_inner + m.query_rows();
  ParallelRows(block.rows, [&](std::int64_t row) {
    c.kernels.gate(c.work.y.floats() + row * m.ssm_inner,
                   c.work.wide.floats() + row * at.total + at.z, AffineAt(w, at.z),
                   w.ssm_norm.empty() ? nullptr : w.ssm_norm.data(), m.ssm_inner, m.ssm_groups,
                   m.norm_before_gate, m.norm_eps, m.ssm_out_multiplier, c.model.kind,
                   c.work.act.data() + row * width * ActBytes(c.model.kind));
  });
}

}  // namespace h1bench::cpu

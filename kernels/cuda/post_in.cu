// Between the wide input product and the mixers: conv, time steps, RoPE, keys and values. In a decode
// step (DeviceBatch::step_in_place) the kernel in fours also leaves in the slots what Keep would: each
// place writes what it alone has read, and later kernels of the step read only what earlier ones left.
#include "kernels/cuda/recent.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 256;

/// Row `row`'s depthwise conv: one chain over the taps, oldest first; taps before the sequence add
/// nothing.
template <typename Out>
H1_DEVICE void Convolve(const Dims& d, const StateLayout& layout, const DeviceSegment& segment,
                        const LayerPointers& w, const float* wide, std::int64_t row,
                        std::int64_t layer, Out* out) {
  for (int c = static_cast<int>(threadIdx.x); c < d.channels; c += kThreads) {
    float sum = w.conv_bias == nullptr ? 0.0F : w.conv_bias[c];
    for (std::int64_t k = 0; k < d.taps; ++k) {
      const float* in = ConvInput(d, layout, segment, wide,
                                  row - segment.first_row - (d.taps - 1) + k, layer);
      if (in != nullptr) sum = fmaf(w.conv[k * d.channels + c], in[c], sum);
    }
    Store(out + row * d.channels + c, Silu(sum, Out{}));
  }
}

template <typename T>
H1_DEVICE float TimeStep(const Dims& d, const Buffers& buffers, const LayerPointers& w,
                        std::int64_t row, std::int64_t h) {
  float step = Softplus(buffers.wide[row * d.wide + d.dt + h] + w.dt_bias[h], T{});
  step = step < d.dt_min ? d.dt_min : step > d.dt_max ? d.dt_max : step;
  buffers.dt[row * d.ssm_heads + h] = step;
  if (buffers.decay != nullptr) buffers.decay[row * d.ssm_heads + h] = expf(step * w.a[h]);
  return step;
}

/// NeoX pairing: element i turns with element i + hd / 2.
template <typename T>
H1_DEVICE void Rotate(const float* from, std::int64_t heads, std::int64_t head_dim,
                      const float* cos, const float* sin, T* to) {
  const int hd = static_cast<int>(head_dim), half = hd / 2, pairs = static_cast<int>(heads) * half;
  for (int i = static_cast<int>(threadIdx.x); i < pairs; i += kThreads) {
    const int head = i / half, j = i % half;
    const float a = from[head * hd + j], b = from[head * hd + half + j];
    Store(to + head * hd + j, a * cos[j] - b * sin[j]);
    Store(to + head * hd + half + j, b * cos[j] + a * sin[j]);
  }
}

/// Time steps, queries, keys and values of one row.
template <typename T>
H1_DEVICE void RestOfRow(const Dims& d, const Buffers& buffers, const LayerPointers& w,
                         std::int64_t row) {
  const float* wide = buffers.wide + row * d.wide;
  for (std::int64_t h = threadIdx.x; h < d.ssm_heads; h += kThreads)
    TimeStep<T>(d, buffers, w, row, h);
  const float* cos = buffers.cos + row * (d.head_dim / 2);
  const float* sin = buffers.sin + row * (d.head_dim / 2);
  T* v = static_cast<T*>(buffers.v) + row * d.kv_heads * d.head_dim;
  Rotate(wide + d.q, d.heads, d.head_dim, cos, sin,
         static_cast<T*>(buffers.q) + row * d.heads * d.head_dim);
  Rotate(wide + d.k, d.kv_heads, d.head_dim, cos, sin,
         static_cast<T*>(buffers.k) + row * d.kv_heads * d.head_dim);
  for (std::int64_t i = threadIdx.x; i < d.kv_heads * d.head_dim; i += kThreads)
    Store(v + i, wide[d.v + i]);
}

template <typename T, typename Conv>
__global__ void __launch_bounds__(kThreads)
    PostInKernel(Dims d, StateLayout layout, DeviceBatch batch, Buffers buffers, LayerPointers w,
                 std::int64_t layer) {
  WaitForKernelBefore();
  const std::int64_t row = blockIdx.x;
  const DeviceSegment segment = batch.segments[batch.segment_of[row]];
  Convolve(d, layout, segment, w, buffers.wide, row, layer, static_cast<Conv*>(buffers.conv));
  RestOfRow<T>(d, buffers, w, row);
}

/// The released models' way: four taps, everything in fours. A thread has one place in the rows (four
/// channels, four pairs, four values or a time step) and goes down kRows of them, so that an input
/// is read once for all the taps it meets.
constexpr int kFoursThreads = 128;

/// How many threads' places a row has: of the conv, of rotated pairs, of values, of time steps.
struct Places {
  int conv, pairs, values, steps;
  H1_HOST_DEVICE explicit Places(const Dims& d)
      : conv(static_cast<int>(d.channels / 4)),
        pairs(static_cast<int>((d.heads + d.kv_heads) * d.head_dim / 8)),
        values(static_cast<int>(d.kv_heads * d.head_dim / 4)),
        steps(static_cast<int>(d.ssm_heads)) {}
  H1_HOST_DEVICE int all() const { return conv + pairs + values + steps; }
};

H1_DEVICE float4 FourOf(const float* from) { return *reinterpret_cast<const float4*>(from); }
H1_DEVICE float4 AddTap(const float4& tap, const float4& x, const float4& sum) {
  return make_float4(fmaf(tap.x, x.x, sum.x), fmaf(tap.y, x.y, sum.y), fmaf(tap.z, x.z, sum.z),
                     fmaf(tap.w, x.w, sum.w));
}

/// Where a step's only row of a segment is kept.
struct KeptRow {
  std::byte *recent, *page;
  std::int64_t position;
  H1_DEVICE KeptRow(const DeviceBatch& batch, std::int64_t row) {
    const DeviceSegment segment = batch.segments[batch.segment_of[row]];
    recent = segment.recent_out, position = segment.position;
    page = batch.pages[segment.first_page + position / kPageTokens];
  }
  /// Whether the chunk stays open: its tokens' inputs are asked for again.
  H1_DEVICE bool open() const { return (position + 1) % kChunk != 0; }
};

/// Conv and silu of channels c to c + 3 in rows [row0, row0 + count): the chain of Convolve; taps
/// before the sequence add 0. With kKeep the only row's inputs become the tail, and its x and B stay
/// with the open chunk's.
template <int kRows, bool kKeep, typename Out>
H1_DEVICE void ConvolveRows(const Dims& d, const StateLayout& layout, const DeviceBatch& batch,
                            const Buffers& buffers, const LayerPointers& w, int c,
                            std::int64_t row0, int count, std::int64_t layer) {
  float4 x[kRows] = {}, tap[4], before[3] = {};
  H1_UNROLL
  for (int i = 0; i < kRows; ++i) {
    if (i < count) x[i] = FourOf(buffers.wide + (row0 + i) * d.wide + d.x + c);
  }
  H1_UNROLL
  for (int k = 0; k < 4; ++k) tap[k] = FourOf(w.conv + k * d.channels + c);
  const float4 bias = w.conv_bias == nullptr ? make_float4(0, 0, 0, 0) : FourOf(w.conv_bias + c);
  Out* const out = static_cast<Out*>(buffers.conv) + row0 * d.channels + c;
  int of = -1;  // segment of `before`
  H1_UNROLL
  for (int i = 0; i < kRows; ++i) {
    if (i >= count) break;
    const int here = batch.segment_of[row0 + i];
    if (here != of) {
      of = here;
      const DeviceSegment segment = batch.segments[here];
      H1_UNROLL
      for (int k = 0; k < 3; ++k) {
        const float* in = ConvInput(d, layout, segment, buffers.wide,
                                    row0 + i - segment.first_row - 3 + k, layer);
        before[k] = in == nullptr ? make_float4(0, 0, 0, 0) : FourOf(in + c);
      }
    }
    float4 sum = AddTap(tap[0], before[0], bias);
    sum = AddTap(tap[1], before[1], sum);
    sum = AddTap(tap[2], before[2], sum);
    sum = AddTap(tap[3], x[i], sum);
    before[0] = before[1], before[1] = before[2], before[2] = x[i];
    const float4 y = make_float4(Silu(sum.x, Out{}), Silu(sum.y, Out{}), Silu(sum.z, Out{}),
                                 Silu(sum.w, Out{}));
    StoreFour(out + i * d.channels, y.x, y.y, y.z, y.w);
    if constexpr (!kKeep) continue;
    const KeptRow kept(batch, row0);
    float* const tail = reinterpret_cast<float*>(kept.recent + layout.tail_at(layer)) + c;
    H1_UNROLL
    for (int k = 0; k < 3; ++k)
      StoreFour(tail + k * d.channels, before[k].x, before[k].y, before[k].z, before[k].w);
    if (c < layout.chunk_columns && kept.open()) {
      Out* const to = reinterpret_cast<Out*>(kept.recent + layout.columns_at(layer)) +
                      kept.position % kChunk * layout.chunk_columns + c;
      StoreFour(to, y.x, y.y, y.z, y.w);
    }
  }
}

/// Four of a row's rotated pairs: elements j and j + hd / 2 of a query or key head. With kKeep keys
/// also go into their page.
template <int kRows, bool kKeep, typename T>
H1_DEVICE void RotateRows(const Dims& d, const StateLayout& layout, const DeviceBatch& batch,
                          const Buffers& buffers, int place, std::int64_t row0, int count,
                          std::int64_t layer) {
  const int hd = static_cast<int>(d.head_dim), half = hd / 2;
  const int head = place / (half / 4), j = place % (half / 4) * 4;
  const bool query = head < d.heads;
  const std::int64_t heads = query ? d.heads : d.kv_heads;
  const std::int64_t at = (query ? head : head - d.heads) * hd + j;
  const float* from = buffers.wide + row0 * d.wide + (query ? d.q : d.k) + at;
  T* to = static_cast<T*>(query ? buffers.q : buffers.k) + row0 * heads * hd + at;
  H1_UNROLL
  for (int i = 0; i < kRows; ++i) {
    if (i >= count) break;
    const float4 a = FourOf(from + i * d.wide), b = FourOf(from + i * d.wide + half);
    const float4 cos = FourOf(buffers.cos + (row0 + i) * half + j);
    const float4 sin = FourOf(buffers.sin + (row0 + i) * half + j);
    const auto turn = [&](T* out) {
      StoreFour(out, a.x * cos.x - b.x * sin.x, a.y * cos.y - b.y * sin.y,
                a.z * cos.z - b.z * sin.z, a.w * cos.w - b.w * sin.w);
      StoreFour(out + half, b.x * cos.x + a.x * sin.x, b.y * cos.y + a.y * sin.y,
                b.z * cos.z + a.z * sin.z, b.w * cos.w + a.w * sin.w);
    };
    turn(to + i * heads * hd);
    if (!kKeep || query) continue;
    const KeptRow kept(batch, row0);
    turn(reinterpret_cast<T*>(kept.page + layout.key_at(layer, head - d.heads, kept.position)) + j);
  }
}

/// Four of a row's values: `place` counts them.
template <bool kKeep, typename T>
H1_DEVICE void CopyValues(const Dims& d, const StateLayout& layout, const DeviceBatch& batch,
                          const Buffers& buffers, int place, std::int64_t row, std::int64_t layer) {
  const std::int64_t at = static_cast<std::int64_t>(place) * 4;
  const float4 v = FourOf(buffers.wide + row * d.wide + d.v + at);
  StoreFour(static_cast<T*>(buffers.v) + row * d.kv_heads * d.head_dim + at, v.x, v.y, v.z, v.w);
  if constexpr (kKeep) {
    const KeptRow kept(batch, row);
    std::byte* const key = kept.page + layout.key_at(layer, at / d.head_dim, kept.position);
    StoreFour(reinterpret_cast<T*>(key + d.kv_heads * layout.head_bytes) + at % d.head_dim, v.x,
              v.y, v.z, v.w);
  }
}

template <typename T, typename Conv, int kRows, bool kKeep>
__global__ void __launch_bounds__(kFoursThreads)
    PostInFoursKernel(Dims d, StateLayout layout, DeviceBatch batch, Buffers buffers,
                      LayerPointers w, std::int64_t layer) {
  WaitForKernelBefore();
  const Places places(d);
  int place = static_cast<int>(blockIdx.x) * kFoursThreads + static_cast<int>(threadIdx.x);
  const std::int64_t row0 = static_cast<std::int64_t>(blockIdx.y) * kRows;
  const int count = batch.rows - row0 < kRows ? static_cast<int>(batch.rows - row0) : kRows;
  if (place < places.conv)
    return ConvolveRows<kRows, kKeep, Conv>(d, layout, batch, buffers, w, place * 4, row0, count,
                                            layer);
  place -= places.conv;
  if (place < places.pairs)
    return RotateRows<kRows, kKeep, T>(d, layout, batch, buffers, place, row0, count, layer);
  place -= places.pairs;
  if (place < places.values) {
    for (std::int64_t row = row0; row < row0 + count; ++row)
      CopyValues<kKeep, T>(d, layout, batch, buffers, place, row, layer);
    return;
  }
  place -= places.values;
  if (place >= places.steps) return;
  for (std::int64_t row = row0; row < row0 + count; ++row) {
    const float step = TimeStep<T>(d, buffers, w, row, place);
    if (!kKeep || !layout.chunked) continue;
    const KeptRow kept(batch, row);
    if (kept.open())
      const_cast<float*>(RecentSteps(layout, kept.recent, kept.position % kChunk, layer))[place] =
          step;
  }
}

/// By a call's size, as a row's numbers do not depend on it: many rows share their taps, few are
/// spread out.
constexpr std::int64_t kFewRows = 512;

template <typename Function>
void EachPrecision(const StageContext& c, const Function& f) {
  if (c.layout.chunked) {
    f.template operator()<Bf16, Bf16>();
  } else if (c.bf16) {
    f.template operator()<Bf16, float>();
  } else {
    f.template operator()<float, float>();
  }
}

}  // namespace

void PostInPlain(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  const LaunchShape rows{dim3(static_cast<unsigned>(c.batch.rows)), dim3(kThreads), 0,
                         Threads::kIndependent};
  EachPrecision(c, [&]<typename T, typename Conv>() {
    Launch("post_in_plain", PostInKernel<T, Conv>, rows, c.stream, c.dims, c.layout, c.batch, c.buffers,
           w, layer);
  });
}

void PostInFours(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  const std::int64_t columns = CeilDiv(Places(c.dims).all(), kFoursThreads);
  const auto run = [&](auto kernel, std::int64_t rows) {
    const LaunchShape shape{dim3(static_cast<unsigned>(columns),
                                 static_cast<unsigned>(CeilDiv(c.batch.rows, rows))),
                            dim3(kFoursThreads), 0, Threads::kIndependent};
    Launch("post_in_fours", kernel, shape, c.stream, c.dims, c.layout, c.batch, c.buffers, w,
           layer);
  };
  EachPrecision(c, [&]<typename T, typename Conv>() {
    if (c.batch.step_in_place) {
      run(PostInFoursKernel<T, Conv, 1, true>, 1);
    } else if (c.batch.rows < kFewRows) {
      run(PostInFoursKernel<T, Conv, 1, false>, 1);
    } else {
      run(PostInFoursKernel<T, Conv, 8, false>, 8);
    }
  });
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

// Between the wide input product and the mixers: conv, time steps, RoPE, keys and values.
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

/// The same for four taps and channels in fours (every released model), with the taps' rows found
/// once.
template <typename Out>
H1_DEVICE void ConvolveFour(const Dims& d, const StateLayout& layout, const DeviceSegment& segment,
                            const LayerPointers& w, const float* wide, std::int64_t row,
                            std::int64_t layer, Out* out) {
  const float* in[4];
  H1_UNROLL
  for (int k = 0; k < 4; ++k)
    in[k] = ConvInput(d, layout, segment, wide, row - segment.first_row - 3 + k, layer);
  const int channels = static_cast<int>(d.channels);
  for (int c = static_cast<int>(threadIdx.x) * 4; c < channels; c += kThreads * 4) {
    float4 sum = w.conv_bias == nullptr ? make_float4(0, 0, 0, 0)
                                        : *reinterpret_cast<const float4*>(w.conv_bias + c);
    H1_UNROLL
    for (int k = 0; k < 4; ++k) {
      if (in[k] == nullptr) continue;
      const float4 x = *reinterpret_cast<const float4*>(in[k] + c);
      const float4 tap = *reinterpret_cast<const float4*>(w.conv + k * channels + c);
      sum.x = fmaf(tap.x, x.x, sum.x), sum.y = fmaf(tap.y, x.y, sum.y);
      sum.z = fmaf(tap.z, x.z, sum.z), sum.w = fmaf(tap.w, x.w, sum.w);
    }
    StoreFour(out + row * channels + c, Silu(sum.x, Out{}), Silu(sum.y, Out{}), Silu(sum.z, Out{}),
              Silu(sum.w, Out{}));
  }
}

template <typename T>
H1_DEVICE void TimeSteps(const Dims& d, const LayerPointers& w, const float* raw,
                         std::int64_t row, float* dt, float* decay) {
  for (std::int64_t h = threadIdx.x; h < d.ssm_heads; h += kThreads) {
    float step = Softplus(raw[h] + w.dt_bias[h], T{});
    step = step < d.dt_min ? d.dt_min : step > d.dt_max ? d.dt_max : step;
    dt[row * d.ssm_heads + h] = step;
    if (decay != nullptr) decay[row * d.ssm_heads + h] = expf(step * w.a[h]);
  }
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
  TimeSteps<T>(d, w, wide + d.dt, row, buffers.dt, buffers.decay);
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
  const std::int64_t row = blockIdx.x;
  const DeviceSegment segment = batch.segments[batch.segment_of[row]];
  Conv* const conv = static_cast<Conv*>(buffers.conv);
  // Rows of wide and of the tail begin on a multiple of four floats when these two do.
  if (d.taps == 4 && d.channels % 4 == 0 && d.wide % 4 == 0 && d.x % 4 == 0) {
    ConvolveFour(d, layout, segment, w, buffers.wide, row, layer, conv);
  } else {
    Convolve(d, layout, segment, w, buffers.wide, row, layer, conv);
  }
  RestOfRow<T>(d, buffers, w, row);
}

}  // namespace

void PostIn(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  const LaunchShape rows{dim3(static_cast<unsigned>(c.batch.rows)), dim3(kThreads), 0,
                         Threads::kIndependent};
  const auto run = [&](auto kernel) {
    Launch("post_in", kernel, rows, c.stream, c.dims, c.layout, c.batch, c.buffers, w, layer);
  };
  if (c.layout.chunked) {
    run(PostInKernel<Bf16, Bf16>);
  } else if (c.bf16) {
    run(PostInKernel<Bf16, float>);
  } else {
    run(PostInKernel<float, float>);
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

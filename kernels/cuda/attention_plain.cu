#include "kernels/cuda/attention.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 128;
constexpr int kMaxColumns = 8;  // of a lane: head_dim / 32, rounded up

template <typename T>
H1_DEVICE float Score(const T* q, const T* key, std::int64_t hd) {
  float sum = 0;
  for (std::int64_t i = 0; i < hd; ++i) sum = fmaf(Load(q[i]), Load(key[i]), sum);
  return sum;
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    PlainKernel(Dims d, StateLayout layout, DeviceBatch batch, Buffers buffers, std::int64_t layer,
                float scale, std::int64_t ldo) {
  H1_SHARED(float, weights, kThreads);
  WaitForKernelBefore();
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t item = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) / kWarp;
  if (item >= batch.rows * d.heads) return;
  const std::int64_t row = item / d.heads, head = item % d.heads;
  const std::int64_t kv_head = head / (d.heads / d.kv_heads);
  const DeviceSegment segment = batch.segments[batch.segment_of[row]];
  const std::int64_t position = batch.positions[row];
  const T* q = static_cast<const T*>(buffers.q) + item * d.head_dim;
  float* const own = weights + threadIdx.x / kWarp * kWarp;  // the warp's 32
  float max = -INFINITY, sum = 0, out[kMaxColumns] = {};
  for (std::int64_t first = 0; first <= position; first += kWarp) {
    const std::int64_t p = first + lane;
    const KeyAt<T> mine = FindKey<T>(d, layout, batch, buffers, segment, layer, kv_head,
                                     p <= position ? p : position);
    const float score = p <= position ? Score(q, mine.key, d.head_dim) * scale : -INFINITY;
    const float new_max = fmaxf(max, WarpMax(score));
    const float weight = expf(score - new_max), alpha = expf(max - new_max);
    sum = sum * alpha + WarpSum(weight);
    max = new_max;
    H1_UNROLL
    for (int j = 0; j < kMaxColumns; ++j) out[j] = out[j] * alpha;
    own[lane] = weight;
    __syncwarp();
    const std::int64_t keys = position - first + 1 < kWarp ? position - first + 1 : kWarp;
    for (int key = 0; key < keys; ++key) {
      const float w = own[key];
      const KeyAt<T> at =
          FindKey<T>(d, layout, batch, buffers, segment, layer, kv_head, first + key);
      H1_UNROLL
      for (int j = 0; j < kMaxColumns; ++j)
        if (j * kWarp + lane < d.head_dim)
          out[j] = fmaf(w, Load(at.value[j * kWarp + lane]), out[j]);
    }
    __syncwarp();
  }
  T* to = static_cast<T*>(buffers.mixed) + row * ldo + d.ssm_inner + head * d.head_dim;
  const float factor = d.attention_out / sum;
  H1_UNROLL
  for (int j = 0; j < kMaxColumns; ++j)
    if (j * kWarp + lane < d.head_dim) Store(to + j * kWarp + lane, out[j] * factor);
}

}  // namespace

void AttendPlain(const StageContext& c, std::int64_t layer) {
  const Dims& d = c.dims;
  const LaunchShape shape{
      dim3(static_cast<unsigned>(CeilDiv(c.batch.rows * d.heads * kWarp, kThreads))),
      dim3(kThreads)};
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(d.head_dim)));
  const std::int64_t ldo = RoundUp(d.ssm_inner + d.heads * d.head_dim, kPadK);
  if (c.bf16) {
    Launch("attention_plain", PlainKernel<Bf16>, shape, c.stream, d, c.layout, c.batch, c.buffers,
           layer, scale, ldo);
  } else {
    Launch("attention_plain", PlainKernel<float>, shape, c.stream, d, c.layout, c.batch, c.buffers,
           layer, scale, ldo);
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

// Stages that take one row at a time: embedding, gather, answers.
#include "kernels/cuda/stages.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 256;

unsigned Blocks(std::int64_t n) { return static_cast<unsigned>(n); }

template <typename T>
__global__ void __launch_bounds__(kThreads)
    EmbedKernel(Dims d, DeviceBatch batch, const T* table, float* x) {
  WaitForKernelBefore();
  const std::int64_t row = blockIdx.x;
  const T* from = table + batch.ids[row] * RoundUp(d.hidden, kPadK);
  for (std::int64_t i = threadIdx.x; i < d.hidden; i += kThreads)
    x[row * d.hidden + i] = Load(from[i]) * d.embedding_multiplier;
}

__global__ void __launch_bounds__(kThreads)
    AnglesKernel(DeviceBatch batch, std::int64_t head_dim, double rope_base, float* cos_out,
                 float* sin_out) {
  WaitForKernelBefore();
  const std::int64_t half = head_dim / 2, row = blockIdx.x;
  const double position = batch.positions[row];
  for (std::int64_t i = threadIdx.x; i < half; i += kThreads) {
    const double frequency =
        pow(rope_base, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    cos_out[row * half + i] = static_cast<float>(cos(position * frequency));
    sin_out[row * half + i] = static_cast<float>(sin(position * frequency));
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    GatherKernel(DeviceBatch batch, const float* x, std::int64_t hidden, const T* mixed,
                 std::int64_t width, float* last_x, T* last_mixed) {
  WaitForKernelBefore();
  const std::int64_t to = blockIdx.x, from = batch.asked[to];
  for (std::int64_t i = threadIdx.x; i < hidden; i += kThreads)
    last_x[to * hidden + i] = x[from * hidden + i];
  for (std::int64_t i = threadIdx.x; i < width; i += kThreads)
    last_mixed[to * width + i] = mixed[from * width + i];
}

constexpr int kHeadThreads = 1024;

/// The larger of two candidates; of equal ones the smaller index.
H1_DEVICE void Better(float value, std::int32_t index, float& best, std::int32_t& best_index) {
  if (value > best || (value == best && index < best_index)) {
    best = value;
    best_index = index;
  }
}

__global__ void __launch_bounds__(kHeadThreads)
    HeadKernel(DeviceBatch batch, std::int64_t first_asked, std::int64_t vocab, float multiplier,
               float* logits, HeadRow* rows, float* target_logits) {
  WaitForKernelBefore();
  H1_SHARED(float, values, 32);
  H1_SHARED(std::int32_t, indices, 32);
  H1_SHARED(double, sums, 32);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
  float* own = logits + static_cast<std::int64_t>(blockIdx.x) * vocab;
  float best = -INFINITY;
  std::int32_t index = 0x7FFFFFFF;
  for (std::int64_t i = thread; i < vocab; i += kHeadThreads) {
    const float v = own[i] * multiplier;
    own[i] = v;
    Better(v, static_cast<std::int32_t>(i), best, index);
  }
  for (int offset = 16; offset > 0; offset /= 2) {
    const float other = __shfl_xor_sync(kAllLanes, best, offset);
    const std::int32_t other_index = __shfl_xor_sync(kAllLanes, index, offset);
    Better(other, other_index, best, index);
  }
  if (lane == 0) {
    values[warp] = best;
    indices[warp] = index;
  }
  __syncthreads();
  for (int i = 0; i < 32; ++i) Better(values[i], indices[i], best, index);
  double sum = 0;
  for (std::int64_t i = thread; i < vocab; i += kHeadThreads)
    sum += static_cast<double>(expf(own[i] - best));
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(kAllLanes, sum, offset);
  if (lane == 0) sums[warp] = sum;
  __syncthreads();
  const std::int64_t asked = first_asked + static_cast<std::int64_t>(blockIdx.x);
  if (thread == 0) {
    double total = 0;
    for (int i = 0; i < 32; ++i) total += sums[i];
    rows[asked] = {static_cast<double>(best) + log(total), best, index};
  }
  for (std::int32_t i = batch.target_begin[asked] + thread; i < batch.target_begin[asked + 1];
       i += kHeadThreads)
    target_logits[i] = own[batch.targets[i]];
}

}  // namespace

void Embed(const StageContext& c, const void* table, double rope_base) {
  const LaunchShape shape{dim3(Blocks(c.batch.rows)), dim3(kThreads), 0, Threads::kIndependent};
  if (c.bf16) {
    Launch("embed", EmbedKernel<Bf16>, shape, c.stream, c.dims, c.batch,
           static_cast<const Bf16*>(table), c.buffers.x);
  } else {
    Launch("embed", EmbedKernel<float>, shape, c.stream, c.dims, c.batch,
           static_cast<const float*>(table), c.buffers.x);
  }
  Launch("angles", AnglesKernel, shape, c.stream, c.batch, c.dims.head_dim, rope_base,
         c.buffers.cos, c.buffers.sin);
}

void GatherAsked(const StageContext& c) {
  const LaunchShape shape{dim3(Blocks(c.batch.asked_count)), dim3(kThreads), 0,
                          Threads::kIndependent};
  const std::int64_t width = RoundUp(c.dims.ssm_inner + c.dims.heads * c.dims.head_dim, kPadK);
  const Buffers& b = c.buffers;
  if (c.bf16) {
    Launch("gather", GatherKernel<Bf16>, shape, c.stream, c.batch, b.x, c.dims.hidden,
           static_cast<const Bf16*>(b.mixed), width, b.last_x, static_cast<Bf16*>(b.last_mixed));
  } else {
    Launch("gather", GatherKernel<float>, shape, c.stream, c.batch, b.x, c.dims.hidden,
           static_cast<const float*>(b.mixed), width, b.last_x, static_cast<float*>(b.last_mixed));
  }
}

void Head(const StageContext& c, std::int64_t first_asked, std::int64_t count, HeadRow* rows,
          float* target_logits) {
  Launch("head", HeadKernel, {dim3(Blocks(count)), dim3(kHeadThreads)}, c.stream, c.batch,
         first_asked, c.dims.vocab, c.dims.lm_head, c.buffers.logits, rows, target_logits);
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

// RMS norms of rows, and the SSM's gated one. Rows of fours are read once and kept in registers.
#include "kernels/cuda/stages.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 256;

/// Sums of squares are in double where everything is fp32: models that amplify rounding show it.
template <typename T>
struct NormSumOf {
  using Type = double;
};
template <>
struct NormSumOf<Bf16> {
  using Type = float;
};
template <typename T>
using NormSum = typename NormSumOf<T>::Type;
H1_DEVICE float AddSquare(float v, float sum) { return fmaf(v, v, sum); }
H1_DEVICE double AddSquare(float v, double sum) {
  return sum + static_cast<double>(v) * static_cast<double>(v);
}
H1_DEVICE float InverseRoot(float v) { return rsqrtf(v); }
H1_DEVICE float InverseRoot(double v) { return static_cast<float>(1.0 / sqrt(v)); }

template <typename T>
__global__ void __launch_bounds__(kThreads)
    NormKernel(const float* x, const float* weight, std::int64_t hidden, float eps, T* out,
               std::int64_t ldo) {
  using Sum = NormSum<T>;
  H1_SHARED(Sum, scratch, 32);
  const float* from = x + static_cast<std::int64_t>(blockIdx.x) * hidden;
  T* to = out + static_cast<std::int64_t>(blockIdx.x) * ldo;
  Sum sum = 0;
  for (std::int64_t i = threadIdx.x; i < hidden; i += kThreads) sum = AddSquare(from[i], sum);
  sum = BlockSum<kThreads>(sum, scratch);
  const float scale = InverseRoot(sum / static_cast<Sum>(hidden) + static_cast<Sum>(eps));
  for (std::int64_t i = threadIdx.x; i < hidden; i += kThreads)
    Store(to + i, from[i] * scale * weight[i]);
}

/// One block a (row, group). norm_first: norm, then gate; else gate, then norm.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    GateNormKernel(Dims d, const float* y, const float* wide, const float* weight, T* mixed,
                   std::int64_t ldo) {
  using Sum = NormSum<T>;
  H1_SHARED(Sum, scratch, 32);
  const std::int64_t row = blockIdx.x, size = d.ssm_inner / d.ssm_groups;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.y) * size;
  const float* from = y + row * d.ssm_inner + first;
  const float* z = wide + row * d.wide + d.z + first;
  Sum sum = 0;
  for (std::int64_t i = threadIdx.x; i < size; i += kThreads) {
    const float v = d.norm_before_gate ? from[i] : from[i] * Silu(z[i], T{});
    sum = AddSquare(v, sum);
  }
  sum = BlockSum<kThreads>(sum, scratch);
  const float scale = InverseRoot(sum / static_cast<Sum>(size) + static_cast<Sum>(d.norm_eps));
  for (std::int64_t i = threadIdx.x; i < size; i += kThreads) {
    const float gate = Silu(z[i], T{});
    const float v = d.norm_before_gate ? from[i] * scale * weight[first + i] * gate
                                       : from[i] * gate * scale * weight[first + i];
    Store(mixed + row * ldo + first + i, v * d.ssm_out);
  }
}

/// A row of at most 4 kFours kThreads numbers in registers, each thread's in order.
template <int kFours>
struct RowOfFours {
  float4 at[kFours];
  template <typename Function>
  static H1_DEVICE void Each(std::int64_t size, const Function& f) {
    H1_UNROLL
    for (int j = 0; j < kFours; ++j) {
      const int i = (j * kThreads + static_cast<int>(threadIdx.x)) * 4;
      if (i < size) f(j, i);
    }
  }
};
H1_DEVICE float4 LoadFour(const float* from) { return *reinterpret_cast<const float4*>(from); }
template <typename Sum>
H1_DEVICE Sum AddSquares(const float4& v, Sum sum) {
  return AddSquare(v.w, AddSquare(v.z, AddSquare(v.y, AddSquare(v.x, sum))));
}

template <typename T, int kFours>
__global__ void __launch_bounds__(kThreads)
    NormFoursKernel(const float* x, const float* weight, std::int64_t hidden, float eps, T* out,
                    std::int64_t ldo) {
  using Sum = NormSum<T>;
  using Row = RowOfFours<kFours>;
  H1_SHARED(Sum, scratch, 32);
  const float* from = x + static_cast<std::int64_t>(blockIdx.x) * hidden;
  T* to = out + static_cast<std::int64_t>(blockIdx.x) * ldo;
  Row v;
  Sum sum = 0;
  Row::Each(hidden, [&](int j, int i) {
    v.at[j] = LoadFour(from + i);
    sum = AddSquares(v.at[j], sum);
  });
  sum = BlockSum<kThreads>(sum, scratch);
  const float scale = InverseRoot(sum / static_cast<Sum>(hidden) + static_cast<Sum>(eps));
  Row::Each(hidden, [&](int j, int i) {
    const float4 w = LoadFour(weight + i), a = v.at[j];
    StoreFour(to + i, a.x * scale * w.x, a.y * scale * w.y, a.z * scale * w.z, a.w * scale * w.w);
  });
}

template <typename T>
H1_DEVICE float4 SiluFour(const float4& z) {
  return make_float4(Silu(z.x, T{}), Silu(z.y, T{}), Silu(z.z, T{}), Silu(z.w, T{}));
}
H1_DEVICE float4 Times(const float4& a, const float4& b) {
  return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w);
}

template <typename T, int kFours>
__global__ void __launch_bounds__(kThreads)
    GateNormFoursKernel(Dims d, const float* y, const float* wide, const float* weight, T* mixed,
                        std::int64_t ldo) {
  using Sum = NormSum<T>;
  using Row = RowOfFours<kFours>;
  H1_SHARED(Sum, scratch, 32);
  const std::int64_t row = blockIdx.x, size = d.ssm_inner / d.ssm_groups;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.y) * size;
  const float* from = y + row * d.ssm_inner + first;
  const float* z = wide + row * d.wide + d.z + first;
  Row v, gate;
  Sum sum = 0;
  Row::Each(size, [&](int j, int i) {
    v.at[j] = LoadFour(from + i);
    gate.at[j] = SiluFour<T>(LoadFour(z + i));
    if (!d.norm_before_gate) v.at[j] = Times(v.at[j], gate.at[j]);
    sum = AddSquares(v.at[j], sum);
  });
  sum = BlockSum<kThreads>(sum, scratch);
  const float scale = InverseRoot(sum / static_cast<Sum>(size) + static_cast<Sum>(d.norm_eps));
  T* to = mixed + row * ldo + first;
  Row::Each(size, [&](int j, int i) {
    const float4 w = LoadFour(weight + first + i);
    float4 a = make_float4(v.at[j].x * scale * w.x, v.at[j].y * scale * w.y,
                           v.at[j].z * scale * w.z, v.at[j].w * scale * w.w);
    if (d.norm_before_gate) a = Times(a, gate.at[j]);
    StoreFour(to + i, a.x * d.ssm_out, a.y * d.ssm_out, a.z * d.ssm_out, a.w * d.ssm_out);
  });
}

/// Calls f<kFours> for rows of `size`, by the size alone; false: no such rows.
template <typename Function>
bool ByFours(std::int64_t size, const Function& f) {
  if (size % 4 != 0 || size > 8 * 4 * kThreads) return false;
  if (size <= 2 * 4 * kThreads) {
    f.template operator()<2>();
  } else if (size <= 4 * 4 * kThreads) {
    f.template operator()<4>();
  } else {
    f.template operator()<8>();
  }
  return true;
}

template <typename T>
void RunNorm(const StageContext& c, const float* x, const float* weight, std::int64_t rows,
             T* normed) {
  const LaunchShape shape{dim3(static_cast<unsigned>(rows)), dim3(kThreads)};
  const std::int64_t hidden = c.dims.hidden, ldo = RoundUp(hidden, kPadK);
  const bool fours = ByFours(hidden, [&]<int kFours>() {
    Launch("norm", NormFoursKernel<T, kFours>, shape, c.stream, x, weight, hidden, c.dims.norm_eps,
           normed, ldo);
  });
  if (!fours) {
    Launch("norm", NormKernel<T>, shape, c.stream, x, weight, hidden, c.dims.norm_eps, normed, ldo);
  }
}

template <typename T>
void RunGateNorm(const StageContext& c, const float* weight, T* mixed) {
  const Dims& d = c.dims;
  const LaunchShape shape{
      dim3(static_cast<unsigned>(c.batch.rows), static_cast<unsigned>(d.ssm_groups)),
      dim3(kThreads)};
  const std::int64_t ldo = RoundUp(d.ssm_inner + d.heads * d.head_dim, kPadK);
  const auto run = [&](auto kernel) {
    Launch("gate_norm", kernel, shape, c.stream, d, c.buffers.y, c.buffers.wide, weight, mixed, ldo);
  };
  const bool aligned = d.wide % 4 == 0 && d.z % 4 == 0;
  if (!aligned || !ByFours(d.ssm_inner / d.ssm_groups, [&]<int kFours>() {
        run(GateNormFoursKernel<T, kFours>);
      })) {
    run(GateNormKernel<T>);
  }
}

}  // namespace

void RmsNorm(const StageContext& c, const float* x, const float* weight, std::int64_t rows,
             void* normed) {
  if (c.bf16) {
    RunNorm(c, x, weight, rows, static_cast<Bf16*>(normed));
  } else {
    RunNorm(c, x, weight, rows, static_cast<float*>(normed));
  }
}

void GateNorm(const StageContext& c, const LayerPointers& w) {
  if (c.bf16) {
    RunGateNorm(c, w.ssm_norm, static_cast<Bf16*>(c.buffers.mixed));
  } else {
    RunGateNorm(c, w.ssm_norm, static_cast<float*>(c.buffers.mixed));
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

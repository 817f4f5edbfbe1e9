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

/// 1 / sqrt(mean of squares + eps) of a block's row of `size`, from its threads' sums of squares.
template <typename Sum>
H1_DEVICE float RowScale(Sum sum, std::int64_t size, float eps) {
  H1_SHARED(Sum, scratch, 32);
  sum = BlockSum<kThreads>(sum, scratch);
  return InverseRoot(sum / static_cast<Sum>(size) + static_cast<Sum>(eps));
}

/// A block's (row, group) of the gated norm.
template <typename T>
struct GateRow {
  std::int64_t size;
  const float *from, *z, *weight;
  T* to;
  H1_DEVICE GateRow(const Dims& d, const float* y, const float* wide, const float* weights,
                    T* mixed, std::int64_t ldo)
      : size(d.ssm_inner / d.ssm_groups) {
    const std::int64_t row = blockIdx.x, first = static_cast<std::int64_t>(blockIdx.y) * size;
    from = y + row * d.ssm_inner + first;
    z = wide + row * d.wide + d.z + first;
    weight = weights + first;
    to = mixed + row * ldo + first;
  }
};

template <typename T>
__global__ void __launch_bounds__(kThreads)
    NormKernel(const float* x, const float* weight, std::int64_t hidden, float eps, T* out,
               std::int64_t ldo) {
  WaitForKernelBefore();
  const float* from = x + static_cast<std::int64_t>(blockIdx.x) * hidden;
  T* to = out + static_cast<std::int64_t>(blockIdx.x) * ldo;
  NormSum<T> sum = 0;
  for (std::int64_t i = threadIdx.x; i < hidden; i += kThreads) sum = AddSquare(from[i], sum);
  const float scale = RowScale(sum, hidden, eps);
  for (std::int64_t i = threadIdx.x; i < hidden; i += kThreads)
    Store(to + i, from[i] * scale * weight[i]);
}

/// norm_before_gate: norm, then gate; else gate, then norm.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    GateNormKernel(Dims d, const float* y, const float* wide, const float* weight, T* mixed,
                   std::int64_t ldo) {
  WaitForKernelBefore();
  const GateRow<T> row(d, y, wide, weight, mixed, ldo);
  NormSum<T> sum = 0;
  for (std::int64_t i = threadIdx.x; i < row.size; i += kThreads) {
    const float v = d.norm_before_gate ? row.from[i] : row.from[i] * Silu(row.z[i], T{});
    sum = AddSquare(v, sum);
  }
  const float scale = RowScale(sum, row.size, d.norm_eps);
  for (std::int64_t i = threadIdx.x; i < row.size; i += kThreads) {
    const float gate = Silu(row.z[i], T{});
    const float v = d.norm_before_gate ? row.from[i] * scale * row.weight[i] * gate
                                       : row.from[i] * gate * scale * row.weight[i];
    Store(row.to + i, v * d.ssm_out);
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
  using Row = RowOfFours<kFours>;
  WaitForKernelBefore();
  const float* from = x + static_cast<std::int64_t>(blockIdx.x) * hidden;
  T* to = out + static_cast<std::int64_t>(blockIdx.x) * ldo;
  Row v;
  NormSum<T> sum = 0;
  Row::Each(hidden, [&](int j, int i) {
    v.at[j] = LoadFour(from + i);
    sum = AddSquares(v.at[j], sum);
  });
  const float scale = RowScale(sum, hidden, eps);
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
  using Row = RowOfFours<kFours>;
  WaitForKernelBefore();
  const GateRow<T> row(d, y, wide, weight, mixed, ldo);
  Row v, gate;
  NormSum<T> sum = 0;
  Row::Each(row.size, [&](int j, int i) {
    v.at[j] = LoadFour(row.from + i);
    gate.at[j] = SiluFour<T>(LoadFour(row.z + i));
    if (!d.norm_before_gate) v.at[j] = Times(v.at[j], gate.at[j]);
    sum = AddSquares(v.at[j], sum);
  });
  const float scale = RowScale(sum, row.size, d.norm_eps);
  Row::Each(row.size, [&](int j, int i) {
    const float4 w = LoadFour(row.weight + i);
    float4 a = make_float4(v.at[j].x * scale * w.x, v.at[j].y * scale * w.y,
                           v.at[j].z * scale * w.z, v.at[j].w * scale * w.w);
    if (d.norm_before_gate) a = Times(a, gate.at[j]);
    StoreFour(row.to + i, a.x * d.ssm_out, a.y * d.ssm_out, a.z * d.ssm_out, a.w * d.ssm_out);
  });
}

/// Calls f<kFours> for rows of `size`, by the size alone.
template <typename Function>
void ByFours(std::int64_t size, const Function& f) {
  static_assert(kLongestFours == 8 * 4 * kThreads);
  if (size <= 2 * 4 * kThreads) {
    f.template operator()<2>();
  } else if (size <= 4 * 4 * kThreads) {
    f.template operator()<4>();
  } else {
    f.template operator()<8>();
  }
}

/// Calls f<T> for the products' input type.
template <typename Function>
void ByType(bool bf16, const Function& f) {
  if (bf16) {
    f.template operator()<Bf16>();
  } else {
    f.template operator()<float>();
  }
}

template <typename T, typename Kernel>
void RunNorm(const char* name, Kernel kernel, const StageContext& c, const float* x, const float* weight,
             std::int64_t rows, void* normed) {
  const LaunchShape shape{dim3(static_cast<unsigned>(rows)), dim3(kThreads)};
  const std::int64_t hidden = c.dims.hidden;
  Launch(name, kernel, shape, c.stream, x, weight, hidden, c.dims.norm_eps,
         static_cast<T*>(normed), RoundUp(hidden, kPadK));
}

template <typename T, typename Kernel>
void RunGateNorm(const char* name, Kernel kernel, const StageContext& c, const LayerPointers& w) {
  const Dims& d = c.dims;
  const LaunchShape shape{
      dim3(static_cast<unsigned>(c.batch.rows), static_cast<unsigned>(d.ssm_groups)),
      dim3(kThreads)};
  Launch(name, kernel, shape, c.stream, d, c.buffers.y, c.buffers.wide, w.ssm_norm,
         static_cast<T*>(c.buffers.mixed), RoundUp(d.ssm_inner + d.heads * d.head_dim, kPadK));
}

}  // namespace

void NormPlain(const StageContext& c, const float* x, const float* weight, std::int64_t rows,
               void* normed) {
  ByType(c.bf16, [&]<typename T>() { RunNorm<T>("norm_plain", NormKernel<T>, c, x, weight, rows, normed); });
}
void NormFours(const StageContext& c, const float* x, const float* weight, std::int64_t rows,
               void* normed) {
  ByType(c.bf16, [&]<typename T>() {
    ByFours(c.dims.hidden, [&]<int kFours>() {
      RunNorm<T>("norm_fours", NormFoursKernel<T, kFours>, c, x, weight, rows, normed);
    });
  });
}

void GateNormPlain(const StageContext& c, const LayerPointers& w) {
  ByType(c.bf16, [&]<typename T>() { RunGateNorm<T>("gate_norm_plain", GateNormKernel<T>, c, w); });
}
void GateNormFours(const StageContext& c, const LayerPointers& w) {
  ByType(c.bf16, [&]<typename T>() {
    ByFours(c.dims.ssm_inner / c.dims.ssm_groups,
            [&]<int kFours>() { RunGateNorm<T>("gate_norm_fours", GateNormFoursKernel<T, kFours>, c, w); });
  });
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

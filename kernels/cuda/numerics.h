#pragma once

#include <cmath>

#include "kernels/cuda/platform.h"
#ifndef H1_CUDA_EMULATION
#ifdef __CUDACC__
#include <cuda_bf16.h>
#endif
#else
#include "kernels/common/convert.h"
#endif

/// Numbers as the kernels keep and combine them. No multiply and add is fused unless it says fmaf:
/// bits are part of the contract (nvcc -fmad=false).
namespace h1bench::H1_CUDA_NAMESPACE {

H1_HOST_DEVICE constexpr std::int64_t RoundUp(std::int64_t n, std::int64_t to) {
  return (n + to - 1) / to * to;
}
H1_HOST_DEVICE constexpr std::int64_t CeilDiv(std::int64_t n, std::int64_t by) {
  return (n + by - 1) / by;
}

#if defined(__CUDACC__) || defined(H1_CUDA_EMULATION)

/// bf16 as bits.
struct Bf16 {
  std::uint16_t bits;
};

#ifdef H1_CUDA_EMULATION
H1_DEVICE float Load(Bf16 v) { return common::FromBf16(v.bits); }
H1_DEVICE Bf16 ToBf16(float v) { return {common::ToBf16(v)}; }
#else
H1_DEVICE float Load(Bf16 v) { return __uint_as_float(static_cast<unsigned>(v.bits) << 16); }
H1_DEVICE Bf16 ToBf16(float v) { return {__bfloat16_as_ushort(__float2bfloat16_rn(v))}; }
#endif
H1_DEVICE float Load(float v) { return v; }
H1_DEVICE void Store(Bf16* to, float v) { *to = ToBf16(v); }
H1_DEVICE void Store(float* to, float v) { *to = v; }
/// Four neighbours in one store.
H1_DEVICE void StoreFour(float* to, float a, float b, float c, float d) {
  *reinterpret_cast<float4*>(to) = make_float4(a, b, c, d);
}
/// Two neighbours in one word, the first in the low half.
H1_DEVICE unsigned PackBf16(float low, float high) {
#ifdef H1_CUDA_EMULATION
  return static_cast<unsigned>(ToBf16(low).bits) | static_cast<unsigned>(ToBf16(high).bits) << 16;
#else
  unsigned pair;  // one instruction, where two conversions and a shift would be four
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#endif
}
H1_DEVICE float LowBf16(unsigned pair) { return __uint_as_float(pair << 16); }
H1_DEVICE float HighBf16(unsigned pair) { return __uint_as_float(pair & 0xFFFF0000U); }

H1_DEVICE void StoreFour(Bf16* to, float a, float b, float c, float d) {
  *reinterpret_cast<uint2*>(to) = make_uint2(PackBf16(a, b), PackBf16(c, d));
}

/// softplus as FALCON_H1.md: the identity above 20. In double where everything is fp32.
H1_DEVICE float Softplus(float x, float) {
  return x > 20.0F ? x : static_cast<float>(log1p(exp(static_cast<double>(x))));
}
H1_DEVICE float Softplus(float x, Bf16) { return x > 20.0F ? x : log1pf(expf(x)); }

inline constexpr float kLog2E = 1.4426950408889634F;
/// 2^x as the units compute it (some 2^-22 off; results below 2^-126 are 0). Exact at 0.
H1_DEVICE float Exp2(float x) {
#ifdef H1_CUDA_EMULATION
  return std::exp2(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

/// 1 / x as the units compute it (some 2^-23 off; 0 for what is over 2^126).
H1_DEVICE float Reciprocal(float x) {
#ifdef H1_CUDA_EMULATION
  return 1.0F / x;
#else
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

/// As exact as fp32 goes; and by the units' own exponential and reciprocal (some 2^-21 off) where
/// the result becomes bf16.
H1_DEVICE float Silu(float x, float) { return x / (1.0F + expf(-x)); }
H1_DEVICE float Silu(float x, Bf16) { return x * Reciprocal(1.0F + Exp2(x * -kLog2E)); }

/// A number that all lanes of the warp have alike, in a way that the compiler can see: addresses
/// made of it, such as warpgroup products' operands, then need no way from the lanes' registers.
H1_DEVICE int Uniform(int v) {
#ifndef H1_CUDA_EMULATION
  v = __shfl_sync(kAllLanes, v, 0);
#endif
  return v;
}

/// Combines the warp's values by a fixed tree (lanes 16 apart, then 8, …); every lane gets the
/// result. `f` is commutative, so all lanes' trees give the same bits.
template <typename T, typename F>
H1_DEVICE T WarpReduce(T v, F f) {
#ifdef H1_CUDA_EMULATION
  // The same tree in one exchange: a switch of fibers costs more than the sums.
  emulation::Show(kAllLanes, &v, sizeof v);
  T all[kWarp];
  for (int lane = 0; lane < kWarp; ++lane)
    std::memcpy(&all[lane], emulation::Shown(lane), sizeof v);
  for (int offset = 16; offset > 0; offset /= 2)
    for (int lane = 0; lane < offset; ++lane) all[lane] = f(all[lane], all[lane + offset]);
  return all[0];
#else
  for (int offset = 16; offset > 0; offset /= 2) v = f(v, __shfl_xor_sync(kAllLanes, v, offset));
  return v;
#endif
}
template <typename Sum>
H1_DEVICE Sum WarpSum(Sum v) {
  return WarpReduce(v, [](Sum a, Sum b) { return a + b; });
}
H1_DEVICE float WarpMax(float v) {
  return WarpReduce(v, [](float a, float b) { return fmaxf(a, b); });
}
/// Sum over a block of kThreads by a fixed tree; every thread gets it. `scratch`: 32 numbers in
/// shared memory, free again after the call.
template <int kThreads, typename Sum>
H1_DEVICE Sum BlockSum(Sum v, Sum* scratch) {
  v = WarpSum(v);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  if (threadIdx.x % kWarp == 0) scratch[warp] = v;
  __syncthreads();
  Sum sum = scratch[0];
  for (int i = 1; i < kThreads / kWarp; ++i) sum = sum + scratch[i];
  __syncthreads();
  return sum;
}

#endif  // device code

}  // namespace h1bench::H1_CUDA_NAMESPACE

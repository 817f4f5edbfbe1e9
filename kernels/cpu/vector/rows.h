// Row kernels: norms, gates, convolution, head. Included by isa_*.cc only.
#pragma once
#include <math.h>

#include "kernels/cpu/vector/lanes.h"
#include "kernels/cpu/vector/table.h"

namespace h1bench::cpu::H1_ISA {

H1_INLINE void StoreAct(void* out, int64_t i, F v, int64_t n, ActKind kind) {
  if (kind == ActKind::kF32) return StorePart((float*)out + i, v, n);
  const U bits = RoundBf16(v);
  if (kind == ActKind::kF32Rounded) return StorePart((float*)out + i, (F)(bits << 16), n);
  StoreLow((uint16_t*)out + i, bits, n);
}

/// Sum of squares: four accumulators over blocks of 64, combined in a fixed order.
H1_INLINE float SumSquares(const float* x, int64_t n) {
  F sum[4] = {Set(0), Set(0), Set(0), Set(0)};
  int64_t i = 0;
  for (; i + 64 <= n; i += 64) {
    for (int64_t j = 0; j < 4; ++j) {
      const F v = Load(x + i + 16 * j);
      sum[j] = Fma(v, v, sum[j]);
    }
  }
  for (int64_t j = 0; i < n; i += kLanes, ++j) {
    const F v = LoadPart(x + i, n - i);
    sum[j] = Fma(v, v, sum[j]);
  }
  return Sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

H1_INLINE float InverseRms(const float* x, int64_t n, float eps) {
  return 1.0F / sqrtf(SumSquares(x, n) / (float)n + eps);
}

static void RmsNorm(const float* x, const float* w, int64_t n, float eps, ActKind kind, void* out) {
  const F inverse = Set(InverseRms(x, n, eps));
  for (int64_t i = 0; i < n; i += kLanes) {
    StoreAct(out, i, LoadPart(x + i, n - i) * inverse * LoadPart(w + i, n - i), n - i, kind);
  }
}

static void AddScaled(float* x, const float* o, float scale, const float* bias, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    F add = LoadPart(o + i, n - i) * Set(scale);
    if (bias != nullptr) add += LoadPart(bias + i, n - i);
    StorePart(x + i, LoadPart(x + i, n - i) + add, n - i);
  }
}

static void Affine(float* x, const float* scale, const float* bias, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    F v = LoadPart(x + i, n - i) * LoadPart(scale + i, n - i);
    if (bias != nullptr) v += LoadPart(bias + i, n - i);
    StorePart(x + i, v, n - i);
  }
}

static void SwiGlu(const float* gate, const float* up, const float* gate_bias, const float* up_bias,
                   float scale, int64_t n, ActKind kind, void* out) {
  for (int64_t i = 0; i < n; i += kLanes) {
    F g = LoadPart(gate + i, n - i);
    F u = LoadPart(up + i, n - i);
    if (gate_bias != nullptr) g += LoadPart(gate_bias + i, n - i);
    if (up_bias != nullptr) u += LoadPart(up_bias + i, n - i);
    StoreAct(out, i, u * Silu(g * Set(scale)), n - i, kind);
  }
}

/// log(1 + e) for 0 <= e <= 1: 2 atanh(s) with s = e / (2 + e) <= 1/3, its series to s^17
/// (remainder below 2e-10 of it).
H1_INLINE F LogOnePlus(F e) {
  const F s = e / (Set(2) + e), q = s * s;
  F p = Set(1.0F / 17);
  p = Fma(p, q, Set(1.0F / 15));
  p = Fma(p, q, Set(1.0F / 13));
  p = Fma(p, q, Set(1.0F / 11));
  p = Fma(p, q, Set(1.0F / 9));
  p = Fma(p, q, Set(1.0F / 7));
  p = Fma(p, q, Set(1.0F / 5));
  p = Fma(p, q, Set(1.0F / 3));
  p = Fma(p, q, Set(1.0F));
  return (s + s) * p;
}

/// softplus as FALCON_H1.md 4.3: the identity above 20. Written so that nothing overflows.
H1_INLINE F Softplus(F x) {
  const I positive = x > Set(0);
  const F rest = LogOnePlus(Exp(Select(positive, -x, x)));
  return Select(x > Set(20), x, Select(positive, x, Set(0)) + rest);
}

static void TimeSteps(const float* raw, const float* bias, const float* a, float min, float max,
                      int64_t n, float* dt, float* decay) {
  for (int64_t i = 0; i < n; i += kLanes) {
    F v = Softplus(LoadPart(raw + i, n - i) + LoadPart(bias + i, n - i));
    v = Select(v < Set(min), Set(min), Select(v > Set(max), Set(max), v));
    StorePart(dt + i, v, n - i);
    StorePart(decay + i, Exp(v * LoadPart(a + i, n - i)), n - i);
  }
}

H1_INLINE F Apply(const InAffine& in, F v, int64_t i, int64_t n) {
  v = v * LoadPart(in.scale + i, n - i);
  return in.bias == nullptr ? v : v + LoadPart(in.bias + i, n - i);
}

static void Conv(const float* const* rows, const InAffine& in, const float* w, const float* bias,
                 int64_t taps, int64_t n, float* out) {
  while (taps > 0 && *rows == nullptr) ++rows, w += n, --taps;
  for (int64_t i = 0; i < n; i += kLanes) {
    F sum = bias == nullptr ? Set(0) : LoadPart(bias + i, n - i);
    for (int64_t k = 0; k < taps; ++k) {
      const F v = Apply(in, LoadPart(rows[k] + i, n - i), i, n);
      sum = Fma(LoadPart(w + k * n + i, n - i), v, sum);
    }
    StorePart(out + i, Silu(sum), n - i);
  }
}

/// y = y * inverse(group) * w per group, in place.
H1_INLINE void GroupNorm(float* y, const float* w, int64_t n, int64_t groups, float eps) {
  const int64_t size = n / groups;
  for (int64_t g = 0; g < groups; ++g) {
    float* part = y + g * size;
    const F inverse = Set(InverseRms(part, size, eps));
    for (int64_t i = 0; i < size; i += kLanes) {
      StorePart(part + i,
                LoadPart(part + i, size - i) * inverse * LoadPart(w + g * size + i, size - i),
                size - i);
    }
  }
}

static void Gate(float* y, const float* z, const InAffine& in, const float* w, int64_t n,
                 int64_t groups, bool norm_first, float eps, float scale, ActKind kind, void* out) {
  if (w != nullptr && norm_first) GroupNorm(y, w, n, groups, eps);
  const bool norm_after = w != nullptr && !norm_first;
  for (int64_t i = 0; i < n; i += kLanes) {
    const F v = LoadPart(y + i, n - i) * Silu(Apply(in, LoadPart(z + i, n - i), i, n));
    if (norm_after) {
      StorePart(y + i, v, n - i);
    } else {
      StoreAct(out, i, v * Set(scale), n - i, kind);
    }
  }
  if (!norm_after) return;
  GroupNorm(y, w, n, groups, eps);
  for (int64_t i = 0; i < n; i += kLanes)
    StoreAct(out, i, LoadPart(y + i, n - i) * Set(scale), n - i, kind);
}

/// The largest value and the smallest index that has it. NaN is never the largest; all NaN gives
/// index 0.
H1_INLINE float ArgMax(const float* x, int64_t n, int32_t* argmax) {
  F best = Set(-__builtin_inff());
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) best = Max(Load(x + i), best);
  float max = MaxLane(best);
  for (; i < n; ++i) max = x[i] > max ? x[i] : max;
  *argmax = 0;
  for (int64_t j = 0; j < n; ++j) {
    if (x[j] == max) {
      *argmax = (int32_t)j;
      break;
    }
  }
  return max;
}

/// Sum of exp(x - max) in double: 16 lanes over increasing index, then lanes in increasing order.
H1_INLINE double SumExp(const float* x, int64_t n, float max) {
  D8 low = {}, high = {};
  double lanes[kLanes] = {};
  for (int64_t i = 0; i < n; i += kLanes) {
    float e[kLanes] = {};
    StorePart(e, Exp(LoadPart(x + i, n - i) - Set(max)), n - i);
    for (int j = 0; j < 8; ++j) {
      low[j] += (double)e[j];
      high[j] += (double)e[j + 8];
    }
  }
  double sum = 0;
  for (int j = 0; j < 8; ++j) lanes[j] = low[j], lanes[j + 8] = high[j];
  for (int j = 0; j < 16; ++j) sum += lanes[j];
  return sum;
}

static void Head(float* x, int64_t n, float scale, int32_t* argmax, float* max,
                 double* log_sum_exp) {
  for (int64_t i = 0; i < n; i += kLanes)
    StorePart(x + i, LoadPart(x + i, n - i) * Set(scale), n - i);
  *max = ArgMax(x, n, argmax);
  *log_sum_exp = (double)*max + log(SumExp(x, n, *max));
}

}  // namespace h1bench::cpu::H1_ISA

// Sixteen fp32 lanes: the only arithmetic of the vector kernels. Included once per instruction set
// with H1_ISA naming the namespace; includes C headers only, so that no inline library function is
// compiled for an instruction set that the machine may not have and then chosen by the linker.
#pragma once
#include <stdint.h>
#include <string.h>

#define H1_INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)
#include "kernels/cpu/vector/whole_lanes.h"
#else
#include "kernels/cpu/vector/split_lanes.h"
#endif

namespace h1bench::cpu::H1_ISA {

typedef double D8 __attribute__((vector_size(64)));
inline constexpr int64_t kLanes = 16;

/// The first n of 16 lanes, the others 0.
H1_INLINE F LoadPart(const float* p, int64_t n) {
  if (n >= kLanes) return Load(p);
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return Load(lanes);
}

H1_INLINE void StorePart(float* p, F v, int64_t n) {
  if (n >= kLanes) return Store(p, v);
  float lanes[kLanes];
  Store(lanes, v);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}

H1_INLINE F Select(I mask, F yes, F no) { return (F)((mask & (I)yes) | (~mask & (I)no)); }
H1_INLINE F Max(F a, F b) { return Select(a > b, a, b); }

/// Sum of the lanes by one fixed tree: i + (i+8), then +4, +2, +1.
H1_INLINE float Sum(F v) {
  v = Fold(
      v, [](auto a, auto b) __attribute__((always_inline)) { return a + b; });
  return v[0] + v[1];
}

H1_INLINE float MaxLane(F v) {
  v = Fold(
      v, [](auto a, auto b) __attribute__((always_inline)) { return a > b ? a : b; });
  return v[0] > v[1] ? v[0] : v[1];
}

/// e^x within 2 units in the last place for -87 <= x <= 88; 0 below, e^88 above, NaN stays NaN.
/// x = n ln2 + r, |r| <= ln2 / 2, Taylor polynomial of degree 7 (remainder below 6e-9 relative).
H1_INLINE F Exp(F x) {
  const I tiny = x < Set(-87.0F);
  x = Select(x > Set(88.0F), Set(88.0F), x);
  x = Select(tiny, Set(0.0F), x);
  const F magic = Set(12582912.0F);  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  const F shifted = Fma(x, Set(1.44269504088896341F), magic);
  const F n = shifted - magic;
  F r = Fma(n, Set(-0.693359375F), x);
  r = Fma(n, Set(2.12194440e-4F), r);
  F p = Set(1.0F / 5040);
  p = Fma(p, r, Set(1.0F / 720));
  p = Fma(p, r, Set(1.0F / 120));
  p = Fma(p, r, Set(1.0F / 24));
  p = Fma(p, r, Set(1.0F / 6));
  p = Fma(p, r, Set(0.5F));
  p = Fma(p, r, Set(1.0F));
  p = Fma(p, r, Set(1.0F));
  const F scale = (F)(((I)shifted - (I)magic + 127) << 23);
  return Select(tiny, Set(0.0F), p * scale);
}

H1_INLINE F Silu(F x) { return x / (Set(1.0F) + Exp(-x)); }

/// bf16 bits of the nearest value, ties to even; NaN stays NaN.
H1_INLINE U RoundBf16(F x) {
  const U bits = (U)x;
  const U rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  const U quiet = (bits >> 16) | 0x40U;
  const I nan = x != x;  // NOLINT(misc-redundant-expression): true where it is not a number
  return ((U)nan & quiet) | (~(U)nan & rounded);
}

}  // namespace h1bench::cpu::H1_ISA

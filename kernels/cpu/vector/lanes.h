// Sixteen fp32 lanes: the only arithmetic of the vector kernels. Included once per instruction set
// with H1_ISA naming the namespace; includes C headers only, so that no inline library function is
// compiled for an instruction set that the machine may not have and then chosen by the linker.
#pragma once
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define H1_INLINE static inline __attribute__((always_inline))

namespace h1bench::cpu::H1_ISA {

typedef float F __attribute__((vector_size(64)));
typedef int32_t I __attribute__((vector_size(64)));
typedef uint32_t U __attribute__((vector_size(64)));
typedef uint16_t H __attribute__((vector_size(32)));
typedef double D8 __attribute__((vector_size(64)));
inline constexpr int64_t kLanes = 16;

H1_INLINE F Set(float x) { return F{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }

H1_INLINE F Load(const float* p) {
  F v;
  memcpy(&v, p, sizeof v);
  return v;
}

H1_INLINE void Store(float* p, F v) { memcpy(p, &v, sizeof v); }

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

/// a*b + c: one rounding where the machine has it, two on the baseline (the instruction set is part
/// of the identity).
H1_INLINE F Fma(F a, F b, F c) {
#if defined(__AVX512F__)
  return (F)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  union {
    F v;
    __m256 half[2];
  } x = {a}, y = {b}, z = {c};
  z.half[0] = _mm256_fmadd_ps(x.half[0], y.half[0], z.half[0]);
  z.half[1] = _mm256_fmadd_ps(x.half[1], y.half[1], z.half[1]);
  return z.v;
#else
  return a * b + c;
#endif
}

H1_INLINE F Select(I mask, F yes, F no) { return (F)((mask & (I)yes) | (~mask & (I)no)); }
H1_INLINE F Max(F a, F b) { return Select(a > b, a, b); }

/// Sum of the lanes by one fixed tree: i + (i+8), then +4, +2, +1.
H1_INLINE float Sum(F v) {
  v += __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
  v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
  v += __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  return v[0] + v[1];
}

H1_INLINE float MaxLane(F v) {
  v = Max(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  v = Max(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  v = Max(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
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

H1_INLINE F LoadBf16(const uint16_t* p) {
  H half;
  memcpy(&half, p, sizeof half);
#if defined(__AVX512F__)  // the compiler makes two halves of it; masked, as GCC 12 warns otherwise
  return (F)((U)_mm512_maskz_cvtepu16_epi32(0xFFFF, (__m256i)half) << 16);
#else
  return (F)(__builtin_convertvector(half, U) << 16);
#endif
}

}  // namespace h1bench::cpu::H1_ISA

// Sixteen lanes in one register of 64 bytes. Included by lanes.h only.
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

namespace h1bench::cpu::H1_ISA {

typedef float F __attribute__((vector_size(64)));
typedef int32_t I __attribute__((vector_size(64)));
typedef uint32_t U __attribute__((vector_size(64)));

H1_INLINE F Set(float x) { return F{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }

/// 0, 1, ... 15.
H1_INLINE I LaneNumbers() { return I{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; }

H1_INLINE F Load(const float* p) {
  F v;
  memcpy(&v, p, sizeof v);
  return v;
}

H1_INLINE void Store(float* p, F v) { memcpy(p, &v, sizeof v); }

/// a*b + c with one rounding.
H1_INLINE F Fma(F a, F b, F c) { return (F)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }

H1_INLINE F LoadBf16(const uint16_t* p) {
  typedef uint16_t H __attribute__((vector_size(32)));
  H half;
  memcpy(&half, p, sizeof half);
  // The compiler makes two halves of a conversion; masked, as GCC 12 warns otherwise.
  return (F)((U)_mm512_maskz_cvtepu16_epi32(0xFFFF, (__m256i)half) << 16);
}

/// The low 16 bits of the first n lanes.
H1_INLINE void StoreLow(uint16_t* p, U v, int64_t n) {
  typedef uint16_t H __attribute__((vector_size(32)));
  const H half = __builtin_convertvector(v, H);
  memcpy(p, &half, (size_t)(n < 16 ? n : 16) * 2);
}

/// Every lane i becomes op(i, i + 8), then with + 4, then with + 2: lanes 0 and 1 are left.
template <typename Op>
H1_INLINE F Fold(F v, Op op) {
  v = op(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  v = op(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  return op(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
}

}  // namespace h1bench::cpu::H1_ISA

// Sixteen lanes where registers are shorter than 64 bytes, as an array of register-sized vectors:
// compilers keep the members of a struct in registers, but a longer vector type in memory, where
// every sum of a product then waits for its own store. Included by lanes.h only.
#pragma once
#if defined(__AVX2__)
#include <immintrin.h>
#endif
#include <stdint.h>
#include <string.h>

namespace h1bench::cpu::H1_ISA {

#if defined(__AVX2__)
inline constexpr int kPartLanes = 8;
#else
inline constexpr int kPartLanes = 4;
#endif
inline constexpr int kParts = 16 / kPartLanes;

template <typename T>
struct Lanes {
  typedef T Part __attribute__((vector_size(kPartLanes * sizeof(T))));
  Part part[kParts];

  Lanes() = default;
  /// The same bits as numbers of another type.
  template <typename O>
  __attribute__((always_inline)) explicit Lanes(const Lanes<O>& bits) {
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i) part[i] = (Part)bits.part[i];
  }
  __attribute__((always_inline)) T operator[](int i) const {
    return part[i / kPartLanes][i % kPartLanes];
  }
};

typedef Lanes<float> F;
typedef Lanes<int32_t> I;
typedef Lanes<uint32_t> U;

/// T, but not what a template's T is found by: so that a U shifts by an int.
template <typename T>
struct Same {
  typedef T Type;
};

#define H1_LANES_OPERATOR(op)                                                                    \
  template <typename T>                                                                          \
  H1_INLINE Lanes<T> operator op(Lanes<T> a, Lanes<T> b) {                                       \
    _Pragma("GCC unroll 4") for (int i = 0; i < kParts; ++i) a.part[i] = a.part[i] op b.part[i]; \
    return a;                                                                                    \
  }                                                                                              \
  template <typename T>                                                                          \
  H1_INLINE Lanes<T> operator op(Lanes<T> a, typename Same<T>::Type b) {                         \
    _Pragma("GCC unroll 4") for (int i = 0; i < kParts; ++i) a.part[i] = a.part[i] op b;         \
    return a;                                                                                    \
  }
H1_LANES_OPERATOR(+)
H1_LANES_OPERATOR(-)
H1_LANES_OPERATOR(*)
H1_LANES_OPERATOR(/)
H1_LANES_OPERATOR(&)
H1_LANES_OPERATOR(|)
H1_LANES_OPERATOR(^)
H1_LANES_OPERATOR(<<)
H1_LANES_OPERATOR(>>)
#undef H1_LANES_OPERATOR

/// All bits set in the lanes where it holds.
#define H1_LANES_COMPARISON(op)                                                             \
  template <typename T>                                                                     \
  H1_INLINE I operator op(Lanes<T> a, Lanes<T> b) {                                         \
    I mask;                                                                                 \
    _Pragma("GCC unroll 4") for (int i = 0; i < kParts; ++i) mask.part[i] =                 \
        a.part[i] op b.part[i];                                                             \
    return mask;                                                                            \
  }                                                                                         \
  template <typename T>                                                                     \
  H1_INLINE I operator op(Lanes<T> a, typename Same<T>::Type b) {                           \
    I mask;                                                                                 \
    _Pragma("GCC unroll 4") for (int i = 0; i < kParts; ++i) mask.part[i] = a.part[i] op b; \
    return mask;                                                                            \
  }
H1_LANES_COMPARISON(<)
H1_LANES_COMPARISON(>)
H1_LANES_COMPARISON(!=)
#undef H1_LANES_COMPARISON

template <typename T>
H1_INLINE Lanes<T> operator-(Lanes<T> a) {
#pragma GCC unroll 4
  for (int i = 0; i < kParts; ++i) a.part[i] = -a.part[i];
  return a;
}

template <typename T>
H1_INLINE Lanes<T> operator~(Lanes<T> a) {
#pragma GCC unroll 4
  for (int i = 0; i < kParts; ++i) a.part[i] = ~a.part[i];
  return a;
}

template <typename T>
H1_INLINE Lanes<T>& operator+=(Lanes<T>& a, const Lanes<T>& b) {
  return a = a + b;
}

H1_INLINE F Set(float x) {
  F v;
#pragma GCC unroll 4
  for (int i = 0; i < kParts; ++i)
#if defined(__AVX2__)
    v.part[i] = F::Part{x, x, x, x, x, x, x, x};
#else
    v.part[i] = F::Part{x, x, x, x};
#endif
  return v;
}

/// 0, 1, ... 15.
H1_INLINE I LaneNumbers() {
  static constexpr int32_t kNumbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  I v;
#pragma GCC unroll 4
  for (int i = 0; i < kParts; ++i) memcpy(&v.part[i], kNumbers + i * kPartLanes, sizeof v.part[i]);
  return v;
}

H1_INLINE F Load(const float* p) {
  F v;
#pragma GCC unroll 4
  for (int i = 0; i < kParts; ++i) memcpy(&v.part[i], p + i * kPartLanes, sizeof v.part[i]);
  return v;
}

H1_INLINE void Store(float* p, const F& v) {
#pragma GCC unroll 4
  for (int i = 0; i < kParts; ++i) memcpy(p + i * kPartLanes, &v.part[i], sizeof v.part[i]);
}

/// a*b + c: one rounding where the machine has it, two on the baseline (the instruction set is part
/// of the identity).
H1_INLINE F Fma(const F& a, const F& b, F c) {
#pragma GCC unroll 4
  for (int i = 0; i < kParts; ++i)
#if defined(__FMA__)
    c.part[i] = (F::Part)_mm256_fmadd_ps((__m256)a.part[i], (__m256)b.part[i], (__m256)c.part[i]);
#else
    c.part[i] = a.part[i] * b.part[i] + c.part[i];
#endif
  return c;
}

H1_INLINE F LoadBf16(const uint16_t* p) {
  typedef uint16_t Half __attribute__((vector_size(kPartLanes * 2)));
  F v;
#pragma GCC unroll 4
  for (int i = 0; i < kParts; ++i) {
    Half half;
    memcpy(&half, p + i * kPartLanes, sizeof half);
    v.part[i] = (F::Part)(__builtin_convertvector(half, U::Part) << 16);
  }
  return v;
}

/// Every lane i becomes op(i, i + 8), then with + 4, then with + 2: lanes 0 and 1 are left. `op`
/// takes vectors of any type.
template <typename Op>
H1_INLINE F Fold(F v, Op op) {
  for (int half = kParts / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) v.part[i] = op(v.part[i], v.part[i + half]);
  F::Part& p = v.part[0];
#if defined(__AVX2__)
  p = op(p, __builtin_shufflevector(p, p, 4, 5, 6, 7, 0, 1, 2, 3));
  p = op(p, __builtin_shufflevector(p, p, 2, 3, 0, 1, 6, 7, 4, 5));
#else
  p = op(p, __builtin_shufflevector(p, p, 2, 3, 0, 1));
#endif
  return v;
}

/// The low 16 bits of the first n lanes.
H1_INLINE void StoreLow(uint16_t* p, const U& v, int64_t n) {
  for (int i = 0; i < 16 && i < n; ++i) p[i] = (uint16_t)v[i];
}

}  // namespace h1bench::cpu::H1_ISA

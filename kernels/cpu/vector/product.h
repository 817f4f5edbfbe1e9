// Matrix products with packed weights. Included by isa_*.cc only.
//
// A panel is kPanel columns of the result and all of k: one stream through memory. Every number of
// the result is one chain over increasing k (with the machine's bf16 instruction: over increasing
// pairs), whatever else is computed: a tile of rows keeps its sums in registers from the first to
// the last.
#pragma once
#include "kernels/cpu/vector/lanes.h"
#include "kernels/cpu/vector/table.h"

namespace h1bench::cpu::H1_ISA {

#if defined(__AVX512F__)
inline constexpr int kVectors = 4, kTileRows = 6;  // sums: 24 of 32 registers
#elif defined(__AVX2__)
inline constexpr int kVectors = 1, kTileRows = 6;  // 12 of 16: a vector is two of them
#else
inline constexpr int kVectors = 1, kTileRows = 2;  // 8 of 16: a vector is four
#endif
inline constexpr int64_t kPanel = kVectors * kLanes;

/// Both in fp32.
struct Floats {
  typedef float Row;
  typedef float Weight;
  static constexpr int64_t kStep = 1;  // of k
  H1_INLINE F Get(const Weight* p) { return Load(p); }
  H1_INLINE F Spread(const Row* p, bool) { return Set(*p); }
  H1_INLINE F Add(F x, F w, F sum) { return Fma(x, w, sum); }
};

/// Weights kept in bf16 and widened to the rows' fp32.
struct Widened {
  typedef float Row;
  typedef uint16_t Weight;
  static constexpr int64_t kStep = 1;
  H1_INLINE F Get(const Weight* p) { return LoadBf16(p); }
  H1_INLINE F Spread(const Row* p, bool) { return Set(*p); }
  H1_INLINE F Add(F x, F w, F sum) { return Fma(x, w, sum); }
};

#if defined(__AVX512BF16__)
/// Both in bf16; two of k in one step.
struct Pairs {
  typedef uint16_t Row;
  typedef uint16_t Weight;
  static constexpr int64_t kStep = 2;
  H1_INLINE F Get(const Weight* p) {
    F v;
    memcpy(&v, p, sizeof v);
    return v;
  }
  H1_INLINE F Spread(const Row* p, bool half) {
    int32_t bits = *p;
    if (!half) memcpy(&bits, p, sizeof bits);
    return (F)_mm512_set1_epi32(bits);
  }
  H1_INLINE F Add(F x, F w, F sum) {
    return (F)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)w);
  }
};
#endif

/// One step along k of kRows rows; `half`: k is odd and this is its last.
template <typename T, int kRows>
H1_INLINE void Advance(F (*sum)[kVectors], const typename T::Row* in, int64_t k,
                       const typename T::Weight* weights, bool half) {
  F w[kVectors];
#pragma GCC unroll 8
  for (int j = 0; j < kVectors; ++j) w[j] = T::Get(weights + j * kLanes * T::kStep);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const F x = T::Spread(in + r * k, half);
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) sum[r][j] = T::Add(x, w[j], sum[r][j]);
  }
}

inline constexpr int64_t kLine = 64;  // bytes of a cache line
inline constexpr int64_t kAhead = 8;  // steps that ask for as many lines at a time

/// Lines of a panel for one step along k: as many tiles of rows ask for another panel's lines, one
/// line a step, so that these come while there is much to compute.
template <typename T>
inline constexpr int64_t kLines = kPanel* T::kStep*(int64_t)sizeof(typename T::Weight) / kLine;

/// kRows rows by the whole panel, from registers to `out`. `fetch`: a line for every step along k
/// that will be wanted soon; null: none.
template <typename T, int kRows>
static void RowTile(const ProductArgs& a, int64_t row, const char* fetch) {
  constexpr int64_t kStride = kPanel * T::kStep;
  const auto* in = (const typename T::Row*)a.in + row * a.k;
  const auto* panel = (const typename T::Weight*)a.panel;
  F sum[kRows][kVectors] = {};
  const int64_t whole = a.k / T::kStep;
  int64_t i = 0;
  for (; fetch != nullptr && i + kAhead <= whole; i += kAhead) {
    for (int64_t j = i; j < i + kAhead; ++j) __builtin_prefetch(fetch + j * kLine, 0, 2);
    for (int64_t j = i; j < i + kAhead; ++j)
      Advance<T, kRows>(sum, in + j * T::kStep, a.k, panel + j * kStride, false);
  }
  for (; i < whole; ++i) Advance<T, kRows>(sum, in + i * T::kStep, a.k, panel + i * kStride, false);
  if (whole * T::kStep < a.k)
    Advance<T, kRows>(sum, in + whole * T::kStep, a.k, panel + whole * kStride, true);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) {
      const int64_t column = j * kLanes;
      if (column < a.width)
        StorePart(a.out + (row + r) * a.ldo + column, sum[r][j], a.width - column);
    }
}

/// Rows in tiles of nearly equal height: the panel comes from memory once, for the first of them,
/// and from a cache for the others, which are enough to have the next panel fetched meanwhile.
template <typename T>
static void Product(const ProductArgs& a) {
  const int64_t tiles = (a.rows + kTileRows - 1) / kTileRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t row = a.rows * t / tiles;
    const bool fetches = a.next != nullptr && tiles > kLines<T> && t > 0 && t <= kLines<T>;
    const char* fetch =
        fetches ? (const char*)a.next + (t - 1) * (a.k / T::kStep) * kLine : nullptr;
    switch (a.rows * (t + 1) / tiles - row) {
      case 1:
        RowTile<T, 1>(a, row, fetch);
        break;
      case 2:
        RowTile<T, 2>(a, row, fetch);
        break;
#if defined(__AVX2__)
      case 3:
        RowTile<T, 3>(a, row, fetch);
        break;
      case 4:
        RowTile<T, 4>(a, row, fetch);
        break;
      case 5:
        RowTile<T, 5>(a, row, fetch);
        break;
      default:
        RowTile<T, 6>(a, row, fetch);
#endif
    }
  }
}

}  // namespace h1bench::cpu::H1_ISA

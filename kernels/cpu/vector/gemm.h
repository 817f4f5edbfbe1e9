// Matrix product for machines without oneDNN's AVX-512 kernels. Included by isa_*.cc only.
#pragma once
#include "kernels/cpu/vector/lanes.h"
#include "kernels/cpu/vector/table.h"

namespace h1bench::cpu::H1_ISA {

/// kRows rows by 16 columns: every number is one chain of fused multiply-adds over k = 0, 1, …
template <int kRows>
H1_INLINE void GemmTile(const float* in, int64_t k, const float* panel, int64_t width, float* out,
                        int64_t ldo) {
  F sum[kRows];
  for (int r = 0; r < kRows; ++r) sum[r] = Set(0);
  for (int64_t i = 0; i < k; ++i) {
    const F weight = Load(panel + i * kLanes);
    for (int r = 0; r < kRows; ++r) sum[r] = Fma(Set(in[r * k + i]), weight, sum[r]);
  }
  for (int r = 0; r < kRows; ++r) StorePart(out + r * ldo, sum[r], width);
}

static void Gemm(const float* in, int64_t rows, int64_t k, const float* panels, int64_t width,
                 float* out, int64_t ldo) {
  for (int64_t column = 0; column < width; column += kLanes) {
    const float* panel = panels + column * k;
    int64_t row = 0;
    for (; row + 6 <= rows; row += 6) {
      GemmTile<6>(in + row * k, k, panel, width - column, out + row * ldo + column, ldo);
    }
    for (; row < rows; ++row)
      GemmTile<1>(in + row * k, k, panel, width - column, out + row * ldo + column, ldo);
  }
}

}  // namespace h1bench::cpu::H1_ISA

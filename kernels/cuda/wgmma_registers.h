#pragma once

#include "kernels/cuda/wgmma.h"

/// d (64, kColumns) += a (64, 16) * b (16, kColumns): `a` in registers, b's rows (k) of 128
/// swizzled bytes in shared memory, 64 columns a panel of kRows rows. Lane l of warp w holds of `a`
/// what PackBf16 makes of four neighbouring results of Wgmma (wgmma.h): columns 2 (l % 4), + 1 of
/// row 16 w + l / 4, of the row 8 below, and both again 8 columns further; d is as there. `k` is
/// the step: rows 16 k and on. ByRows: b lies as wgmma.h's, kColumns rows with k along them, and
/// `k` is the step within its 64. Asynchronous until WgmmaWait.
namespace h1bench::H1_CUDA_NAMESPACE {

/// Numbers that a product in flight reads or writes: nothing that uses them moves over this line.
template <int kCount>
H1_DEVICE void WgmmaHold(float (&values)[kCount]) {
#ifndef H1_CUDA_EMULATION
  H1_UNROLL
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(values[i])::"memory");
#else
  (void)values;
#endif
}

#ifdef H1_CUDA_EMULATION

/// The product of the lanes' `a` with what `byte_of(row of k, column)` says of `b`.
template <int kColumns, typename ByteOf>
H1_DEVICE void MultiplyHeld(float (&d)[kColumns / 2], const unsigned (&a)[4],
                            const unsigned char* b, bool accumulate, const ByteOf& byte_of) {
  emulation::Show(kAllLanes, &a, sizeof a);
  const int lane = emulation::Lane();
  float rows[2][16];  // rows lane / 4 and 8 below, from the four lanes that hold them
  for (int owner = 0; owner < 4; ++owner) {
    std::uint16_t held[8];
    std::memcpy(held, emulation::Shown(lane / 4 * 4 + owner), sizeof held);
    for (int i = 0; i < 8; ++i)
      rows[i / 2 % 2][i / 4 * 8 + owner * 2 + i % 2] = common::FromBf16(held[i]);
  }
  for (int index = 0; index < kColumns / 2; ++index) {
    const int column = index / 4 * 8 + lane % 4 * 2 + index % 2;
    float sum = accumulate ? d[index] : 0.0F;
    for (int i = 0; i < 16; ++i) {
      std::uint16_t bits;
      std::memcpy(&bits, b + byte_of(i, column), 2);
      sum += rows[index % 4 / 2][i] * common::FromBf16(bits);
    }
    d[index] = sum;
  }
}

template <int kColumns, int kRows>
H1_DEVICE void WgmmaFromRegisters(float (&d)[kColumns / 2], const unsigned (&a)[4],
                                  const unsigned char* b, int k, bool accumulate) {
  MultiplyHeld<kColumns>(d, a, b, accumulate, [&](int i, int column) {
    return PanelSwizzled(k * 16 + i, column / 8, kRows) + column % 8 * 2;
  });
}
template <int kColumns>
H1_DEVICE void WgmmaFromRegistersByRows(float (&d)[kColumns / 2], const unsigned (&a)[4],
                                        const unsigned char* b, int k, bool accumulate) {
  MultiplyHeld<kColumns>(d, a, b, accumulate, [&](int i, int column) {
    return Swizzled(column, k * 2 + i / 8) + i % 8 * 2;
  });
}

#else

/// Matrix descriptor of a tile that lies with k down its rows: groups of 8 rows lie 1024 bytes
/// apart, panels of 64 columns kRows * 128.
template <int kRows>
H1_DEVICE std::uint64_t RowsDescriptor(const unsigned char* tile) {
  const auto address = static_cast<std::uint64_t>(__cvta_generic_to_shared(tile));
  return (address & 0x3FFFF) >> 4 | std::uint64_t{kRows * 128 >> 4} << 16 |
         std::uint64_t{64} << 32 | std::uint64_t{1} << 62;
}

/// A: the numbers of `a`'s four operands; B and P those after them. DOWN: 1 where k goes down b's
/// rows.
#define H1_WGMMA_REGISTERS(N, n, A, B, P, DOWN)                                     \
  asm volatile(H1_WGMMA_BEGIN(N, n, P) "{" A "}, %" #B ", p, 1, 1, " #DOWN ";\n}\n" \
               : H1_HELD_##n(d, 0)                                                  \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(db), "r"(keep))

template <int kColumns, int kRows>
H1_DEVICE void WgmmaFromRegisters(float (&d)[kColumns / 2], const unsigned (&a)[4],
                                  const unsigned char* b, int k, bool accumulate) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  const std::uint64_t db = RowsDescriptor<kRows>(b) + static_cast<std::uint64_t>(k * 128);
  const int keep = accumulate;
  if constexpr (kColumns == 64) {
    H1_WGMMA_REGISTERS(64, 32, "%32, %33, %34, %35", 36, 37, 1);
  } else if constexpr (kColumns == 128) {
    H1_WGMMA_REGISTERS(128, 64, "%64, %65, %66, %67", 68, 69, 1);
  } else {
    static_assert(kColumns == 256, "no such product of this width");
    H1_WGMMA_REGISTERS(256, 128, "%128, %129, %130, %131", 132, 133, 1);
  }
#endif
}
template <int kColumns>
H1_DEVICE void WgmmaFromRegistersByRows(float (&d)[kColumns / 2], const unsigned (&a)[4],
                                        const unsigned char* b, int k, bool accumulate) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  static_assert(kColumns == 64, "no such product of this width");
  const std::uint64_t db = TileDescriptor(b) + static_cast<std::uint64_t>(k * 2);
  const int keep = accumulate;
  H1_WGMMA_REGISTERS(64, 32, "%32, %33, %34, %35", 36, 37, 0);
#endif
}
#undef H1_WGMMA_REGISTERS

#endif

}  // namespace h1bench::H1_CUDA_NAMESPACE

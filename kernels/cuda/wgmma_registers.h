#pragma once

#include "kernels/cuda/wgmma.h"

/// d (64, kColumns) += a (64, 16) * b (16, kColumns): `a` in registers, b's rows (k) of 128
/// swizzled bytes in shared memory, 64 columns a panel of kRows rows. Lane l of warp w holds of `a`
/// what PackBf16 makes of four neighbouring results of Wgmma (wgmma.h): columns 2 (l % 4), + 1 of
/// row 16 w
/// + l / 4, of the row 8 below, and both again 8 columns further; d is as there. `k` is the step:
/// rows 16 k and on. Asynchronous until WgmmaWait.
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

template <int kColumns, int kRows>
H1_DEVICE void WgmmaFromRegisters(float (&d)[kColumns / 2], const unsigned (&a)[4],
                                  const unsigned char* b, int k, bool accumulate) {
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
      std::memcpy(&bits, b + PanelSwizzled(k * 16 + i, column / 8, kRows) + column % 8 * 2, 2);
      sum += rows[index % 4 / 2][i] * common::FromBf16(bits);
    }
    d[index] = sum;
  }
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

template <int kColumns, int kRows>
H1_DEVICE void WgmmaFromRegisters(float (&d)[kColumns / 2], const unsigned (&a)[4],
                                  const unsigned char* b, int k, bool accumulate) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  const std::uint64_t db = RowsDescriptor<kRows>(b) + static_cast<std::uint64_t>(k * 128);
  const int keep = accumulate;
  if constexpr (kColumns == 64) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
        "{"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, "
        "%15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, "
        "%28, %29, %30, %31"
        "}, {%32, %33, %34, %35}, %36, p, 1, 1, 1;\n}\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
          "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
          "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]),
          "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
          "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(db), "r"(keep));
  } else {
    static_assert(kColumns == 128, "no such product of this width");
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
        "{"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, "
        "%15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, "
        "%28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, "
        "%41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, "
        "%54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
        "}, {%64, %65, %66, %67}, %68, p, 1, 1, 1;\n}\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
          "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
          "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]),
          "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
          "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]),
          "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]),
          "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]),
          "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]),
          "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]),
          "+f"(d[63])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(db), "r"(keep));
  }
#endif
}

#endif

}  // namespace h1bench::H1_CUDA_NAMESPACE

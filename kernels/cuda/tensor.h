#pragma once

#include "kernels/cuda/numerics.h"

/// Thin wrappers of the tensor-core and copy instructions that every card from sm_80 has. The host
/// definitions follow the PTX manual's fragment layouts; sums are in fp32 along k, which is not
/// promised to be the hardware's rounding.
namespace h1bench::H1_CUDA_NAMESPACE {

/// 16 bytes from global to shared memory, without a register; visible after CopyWait and a barrier.
H1_DEVICE void CopyAsync16(void* shared, const void* global) {
#ifdef H1_CUDA_EMULATION
  if ((reinterpret_cast<std::uintptr_t>(shared) | reinterpret_cast<std::uintptr_t>(global)) % 16 !=
      0)
    emulation::Misaligned();  // a card ends the program there
  std::memcpy(shared, global, 16);
#else
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(global) : "memory");
#endif
}
H1_DEVICE void CopyCommit() {
#ifndef H1_CUDA_EMULATION
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
/// Waits until at most kLeft committed groups are on their way.
template <int kLeft>
H1_DEVICE void CopyWait() {
#ifndef H1_CUDA_EMULATION
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
#endif
}

/// Four 8x8 matrices of 16-bit values; lane l names row l % 8 of matrix l / 8, lane l gets elements
/// 2 (l % 4), 2 (l % 4) + 1 of row l / 4 of each.
H1_DEVICE void LoadMatrix4(unsigned (&out)[4], const void* shared) {
#ifdef H1_CUDA_EMULATION
  const unsigned char* row = static_cast<const unsigned char*>(shared);
  emulation::Show(kAllLanes, &row, sizeof row);
  const int lane = emulation::Lane();
  for (int i = 0; i < 4; ++i) {
    const unsigned char* from;
    std::memcpy(&from, emulation::Shown(i * 8 + lane / 4), sizeof from);
    std::memcpy(&out[i], from + lane % 4 * 4, 4);
  }
#else
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
#endif
}
/// The same, each matrix transposed on the way.
H1_DEVICE void LoadMatrix4Transposed(unsigned (&out)[4], const void* shared) {
#ifdef H1_CUDA_EMULATION
  const unsigned char* row = static_cast<const unsigned char*>(shared);
  emulation::Show(kAllLanes, &row, sizeof row);
  const int lane = emulation::Lane();
  for (int i = 0; i < 4; ++i) {
    std::uint16_t pair[2];
    for (int j = 0; j < 2; ++j) {
      const unsigned char* from;
      std::memcpy(&from, emulation::Shown(i * 8 + lane % 4 * 2 + j), sizeof from);
      std::memcpy(&pair[j], from + lane / 4 * 2, 2);
    }
    std::memcpy(&out[i], pair, 4);
  }
#else
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address)
               : "memory");
#endif
}

/// LoadMatrix4Transposed's other way (from sm_90 on): four 8x8 matrices of 16-bit values, of which
/// lane l has elements 2 (l % 4), 2 (l % 4) + 1 of row l / 4, go to shared memory transposed: lane
/// l names where row l % 8 of matrix l / 8 goes.
H1_DEVICE void StoreMatrix4Transposed(void* shared, const unsigned (&in)[4]) {
#ifdef H1_CUDA_EMULATION
  emulation::Show(kAllLanes, in, sizeof in);
  const int lane = emulation::Lane(), matrix = lane / 8, column = lane % 8;
  std::uint16_t out[8];
  for (int i = 0; i < 8; ++i) {  // from the lane that has it of row i
    const auto* from = static_cast<const unsigned char*>(emulation::Shown(i * 4 + column / 2));
    std::memcpy(&out[i], from + matrix * 4 + column % 2 * 2, 2);
  }
  std::memcpy(shared, out, sizeof out);
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(address),
               "r"(in[0]), "r"(in[1]), "r"(in[2]), "r"(in[3])
               : "memory");
#endif
}

/// d (16, 8) += a (16, 16) * b (16, 8): bf16 in, fp32 sums. Lane l, g = l / 4, t = l % 4: a holds
/// (g, 2t..), (g + 8, 2t..), (g, 2t + 8..), (g + 8, 2t + 8..); b (2t.., g), (2t + 8.., g); d
/// (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
H1_DEVICE void Mma16x8x16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
#ifdef H1_CUDA_EMULATION
  struct Fragment {
    std::uint16_t a[8], b[4];
  } mine;
  std::memcpy(mine.a, a, 16);
  std::memcpy(mine.b, &b0, 4);
  std::memcpy(mine.b + 2, &b1, 4);
  emulation::Show(kAllLanes, &mine, sizeof mine);
  const int lane = emulation::Lane(), g = lane / 4, t = lane % 4;
  Fragment rows[4], columns[2][4];  // of the lanes that hold row g (and g + 8), columns 2t, 2t + 1
  for (int i = 0; i < 4; ++i) {
    std::memcpy(&rows[i], emulation::Shown(g * 4 + i), sizeof mine);
    for (int j = 0; j < 2; ++j)
      std::memcpy(&columns[j][i], emulation::Shown((2 * t + j) * 4 + i), sizeof mine);
  }
  float upper[16], lower[16], left[16], right[16];  // rows g and g + 8, columns 2t and 2t + 1
  for (int k = 0; k < 16; ++k) {
    const int owner = k % 8 / 2, half = k / 8;
    upper[k] = common::FromBf16(rows[owner].a[half * 4 + k % 2]);
    lower[k] = common::FromBf16(rows[owner].a[half * 4 + 2 + k % 2]);
    left[k] = common::FromBf16(columns[0][owner].b[half * 2 + k % 2]);
    right[k] = common::FromBf16(columns[1][owner].b[half * 2 + k % 2]);
  }
  for (int k = 0; k < 16; ++k) {
    d[0] += upper[k] * left[k];
    d[1] += upper[k] * right[k];
    d[2] += lower[k] * left[k];
    d[3] += lower[k] * right[k];
  }
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

/// Where 16-byte piece `piece` of row `row` lies in a tile of 128-byte rows: pieces are turned by
/// the row, so that eight rows of one column of pieces lie in different banks.
H1_HOST_DEVICE int Swizzled(int row, int piece) { return row * 128 + ((piece ^ (row & 7)) << 4); }
/// The same in a tile of 128- or 64-byte rows as the copy engine turns them: the latter by every
/// other row.
H1_HOST_DEVICE int TileByte(int row_bytes, int row, int piece) {
  if (row_bytes == 128) return Swizzled(row, piece);
  return row * row_bytes + ((piece ^ (row >> 1 & 3)) << 4);
}
/// The same in a tile of `rows` wider rows: panels of 128 bytes lie one after the other.
H1_HOST_DEVICE int PanelSwizzled(int row, int piece, int rows) {
  return piece / 8 * rows * 128 + Swizzled(row, piece % 8);
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

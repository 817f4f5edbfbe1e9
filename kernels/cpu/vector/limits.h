// What the machine itself reaches, for `h1bench bench`. Included by isa_*.cc only.
#pragma once
#include "kernels/cpu/vector/product.h"

namespace h1bench::cpu::H1_ISA {

/// Multiply-adds on registers alone: what no product can exceed. Returns the operations done.
template <typename T>
static double Registers(int64_t rounds) {
  const typename T::Weight weights[kPanel * T::kStep] = {};
  const typename T::Row in[kTileRows * T::kStep] = {};
  const typename T::Weight* w = weights;
  const typename T::Row* x = in;
  F sum[kTileRows][kVectors] = {};
  for (int64_t i = 0; i < rounds; ++i) {
    Advance<T, kTileRows>(sum, x, T::kStep, w, false);
    __asm__ volatile("" : "+r"(w), "+r"(x));  // for all the compiler knows they are others now
  }
  float sink[kTileRows * kPanel];
  for (int r = 0; r < kTileRows; ++r)
    for (int j = 0; j < kVectors; ++j) Store(sink + r * kPanel + j * kLanes, sum[r][j]);
  __asm__ volatile("" : : "r"(sink) : "memory");
  return 2.0 * (double)(rounds * kTileRows * kPanel * T::kStep);
}

/// Reads `bytes` (a multiple of 1024) with loads alone; the xor of all words keeps the compiler
/// from leaving it out.
static uint64_t ReadAll(const void* from, int64_t bytes) {
  constexpr int kSums = 4;  // what fits the registers of every instruction set
  U sum[kSums] = {};
  for (int64_t i = 0; i < bytes; i += 1024) {
    const auto* p = (const float*)((const char*)from + i);
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) sum[j % kSums] = sum[j % kSums] ^ (U)Load(p + kLanes * j);
  }
  const U all = (sum[0] ^ sum[1]) ^ (sum[2] ^ sum[3]);
  uint64_t word = 0;
  for (int j = 0; j < kLanes; j += 2) word ^= (uint64_t)all[j + 1] << 32 | all[j];
  return word;
}

}  // namespace h1bench::cpu::H1_ISA

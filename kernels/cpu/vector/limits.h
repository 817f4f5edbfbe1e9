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
  typedef uint64_t V __attribute__((vector_size(64)));
  V sum[16] = {};
  for (int64_t i = 0; i < bytes; i += 1024) {
    const char* p = (const char*)from + i;
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) {
      V v;
      memcpy(&v, p + 64 * j, sizeof v);
      sum[j] ^= v;
    }
  }
  V all = {};
  for (int j = 0; j < 16; ++j) all ^= sum[j];
  uint64_t word = 0;
  for (int j = 0; j < 8; ++j) word ^= all[j];
  return word;
}

}  // namespace h1bench::cpu::H1_ISA

#include "kernels/cpu/vector/table.h"

#include <cstdlib>
#include <string_view>

namespace h1bench::cpu {

KernelList AllKernels() {
  KernelList list{};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    if (__builtin_cpu_supports("avx512bf16")) list.tables[list.count++] = &v4_bf16::kTable;
    list.tables[list.count++] = &v4::kTable;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("bmi2"))
    list.tables[list.count++] = &v3::kTable;
#endif
  list.tables[list.count++] = &base::kTable;
  return list;
}

namespace {

const VectorKernels& Choose() {
  const KernelList all = AllKernels();
  const char* wish = std::getenv("H1BENCH_ISA");
  for (const VectorKernels* table : all)
    if (wish != nullptr && std::string_view(wish) == table->name) return *table;
  return *all.tables[0];
}

}  // namespace

const VectorKernels& Kernels() {
  static const VectorKernels& table = Choose();
  return table;
}

int64_t SsdStateFloats(int64_t head_dim, int64_t state) { return PadLanes(head_dim) * state + 16; }

int64_t SsdScratch(int64_t head_dim, int64_t state) {
  return PadLanes(head_dim) * state + 2 * 2 * kSsdTokens * 16;  // a state; two blocks of xdt and y
}

int64_t AttentionScratch(int64_t heads, int64_t head_dim) {
  const int64_t padded = PadLanes(head_dim), queries = kQueryRows * heads;
  // Beside scores and sums either a tile in fp32 or the queries in bf16.
  const int64_t tile = kKvTile * (head_dim + padded), copies = queries * padded / 2;
  return queries * (kKvTile + padded) + (tile > copies ? tile : copies);
}

}  // namespace h1bench::cpu

#include "kernels/cpu/vector/table.h"

#include <cstdlib>
#include <string_view>

namespace h1bench::cpu {
namespace {

const VectorKernels& Choose() {
  const char* wish = std::getenv("H1BENCH_ISA");
  const std::string_view name = wish == nullptr ? "" : wish;
#if defined(__x86_64__)
  const bool v4_here = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512vl");
  const bool v3_here = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                       __builtin_cpu_supports("bmi2");
  if (v4_here && (name.empty() || name == v4::kTable.name)) return v4::kTable;
  if (v3_here && (name.empty() || name == v4::kTable.name || name == v3::kTable.name))
    return v3::kTable;
#endif
  return base::kTable;
}

}  // namespace

const VectorKernels& Kernels() {
  static const VectorKernels& table = Choose();
  return table;
}

int64_t SsdScratch(int64_t state) { return (state + 2 * 64) * 16; }

int64_t AttentionScratch(int64_t heads, int64_t head_dim) {
  const int64_t padded = PadLanes(head_dim);
  return kQueryRows * heads * (kKvTile + padded) + kKvTile * (head_dim + padded);
}

}  // namespace h1bench::cpu

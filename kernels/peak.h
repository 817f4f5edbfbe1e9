#pragma once

#include "kernels/backend.h"

namespace h1bench {

/// What a device reaches in the two things a language model is limited by.
struct MachinePeak {
  double gflops = 0;  // CPU: multiply-adds of the precision on registers; GPU: the library's
                      // matrix product, big enough to be compute-bound
  double gigabytes_per_second = 0;  // CPU: reading memory that no cache holds; GPU: copying in its
                                    // memory, bytes read and written
  std::string method;               // what was measured
};

/// Measures for about a second. `threads`: of the CPU (0: all cores). On a GPU the matrix product
/// is cuBLASLt's where that library is installed; without it gflops is 0 and method says so.
Result<MachinePeak> MeasurePeak(Device device, Precision precision, int threads);

/// Which kernels such a model takes on the device ("gemm_wgmma, scan_wgmma, …"), for people
/// to read. Empty for the CPU, whose one set Identity() names.
Result<std::string> KernelPaths(Device device, const ModelShape& shape, Precision precision);

/// One matrix of a model: how fast our product of `rows` tokens is (bf16, the backend's kernel,
/// results as the model takes them: fp32, added to the residual, or SwiGLU's) and the fastest that
/// the library finds when it may choose any algorithm for exactly these sizes.
struct ProductRate {
  std::string name;  // "in", "out", "gate_up", "down"
  std::int64_t n = 0, k = 0, rows = 0;
  double gflops = 0;
  double library_gflops = 0;       // with results of the same type; 0 where there is no library
  double library_bf16_gflops = 0;  // with bf16 results, which it stores in half the bytes
};
/// What one fixed order of sums costs. Only on a GPU.
Result<std::vector<ProductRate>> MeasureProducts(Device device, const ModelShape& shape,
                                                 std::int64_t rows);

}  // namespace h1bench

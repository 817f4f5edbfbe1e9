#pragma once

#include "kernels/backend.h"

namespace h1bench {

/// What a device reaches in the two things a language model is limited by.
struct MachinePeak {
  double gflops = 0;  // matrix product of the precision, big enough to be compute-bound
  double gigabytes_per_second = 0;  // CPU: reading memory that no cache holds; GPU: copying in its
                                    // memory, bytes read and written
  std::string method;               // what was measured
};

/// Measures for about a second. `threads`: of the CPU (0: all cores). On a GPU the matrix product
/// is cuBLASLt's where that library is installed; without it gflops is 0 and method says so.
Result<MachinePeak> MeasurePeak(Device device, Precision precision, int threads);

}  // namespace h1bench

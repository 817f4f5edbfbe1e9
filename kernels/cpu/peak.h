#pragma once

#include "kernels/backend.h"

namespace h1bench {

/// What this machine reaches in the two things a language model is limited by.
struct MachinePeak {
  double gflops = 0;  // matrix product of the precision, big enough to be compute-bound
  double gigabytes_per_second = 0;  // reading memory that no cache holds
};

/// Measures for about a second with `threads` threads (0: all cores).
MachinePeak MeasureCpuPeak(Precision precision, int threads);

}  // namespace h1bench

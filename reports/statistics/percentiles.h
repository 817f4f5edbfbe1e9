#pragma once

#include <cstdint>
#include <vector>

namespace h1bench::reports {

/// Of measured times. n = 0: none, and all zeros.
struct Percentiles {
  std::int64_t n = 0;
  double p50 = 0, p95 = 0, p99 = 0;
};

/// Nearest rank: the p-th percentile of n values is the ceil(p n / 100)-th smallest, so that it is
/// always one that was measured. Reorders `values`.
Percentiles PercentilesOf(std::vector<double>& values);

}  // namespace h1bench::reports

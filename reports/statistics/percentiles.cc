#include "reports/statistics/percentiles.h"

#include <algorithm>
#include <cstddef>

namespace h1bench::reports {

Percentiles PercentilesOf(std::vector<double>& values) {
  Percentiles out;
  out.n = static_cast<std::int64_t>(values.size());
  if (values.empty()) return out;
  std::sort(values.begin(), values.end());
  const auto at = [&](std::size_t percent) {
    return values[(percent * values.size() + 99) / 100 - 1];
  };
  out.p50 = at(50), out.p95 = at(95), out.p99 = at(99);
  return out;
}

}  // namespace h1bench::reports

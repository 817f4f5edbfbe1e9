#pragma once

#include "kernels/peak.h"

namespace h1bench {

/// Measures for about a second with `threads` threads (0: all cores).
MachinePeak MeasureCpuPeak(Precision precision, int threads);

}  // namespace h1bench

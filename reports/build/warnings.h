#pragma once

#include "reports/report.h"

namespace h1bench::reports {

/// Fills Report::warnings from its cells: what a reader should look at before believing a number.
/// `divergences`: requests that were answered twice and differently.
void CollectWarnings(Report& report, std::int64_t divergences);

}  // namespace h1bench::reports

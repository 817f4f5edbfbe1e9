#pragma once

#include "harness/store/store.h"
#include "reports/report.h"

/// What is told about how a run was made: digests and seeds, which belong to its results, and
/// machines, memory and times, which belong to its execution.
namespace h1bench::reports {

/// Report::methods and Report::results_digest. `scorer_version`: the newest among the scores.
Status DescribeMethods(Store& store, const RunRow& run, std::int64_t scorer_version,
                       Report& report);

/// Speed, memory and GPUs of each variant, as its workers reported them. Cells must be finished.
Status ReadMemory(Store& store, std::int64_t run, Report& report);

/// Report::environment and Report::database_digest.
Status DescribeExecution(Store& store, const RunRow& run, Report& report);

}  // namespace h1bench::reports

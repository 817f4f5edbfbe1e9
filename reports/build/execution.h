#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "harness/store/store.h"
#include "reports/report.h"

/// What is told about how a run was made: digests and seeds, which belong to its results, and
/// machines, memory and times, which belong to its execution.
namespace h1bench::reports {

/// The versions of a run's scores (`h1bench score` makes a new one).
struct ScoreVersions {
  struct OfCell {
    std::size_t variant = 0, task = 0;  // places in Report
    double mean = 0;                    // of the primary metric, as the headline averages
  };
  std::int64_t version = 0;                               // the newest, which the report is of
  std::map<std::int64_t, std::vector<OfCell>> earlier{};  // what those before it came to
};

/// Report::methods and Report::results_digest.
Status DescribeMethods(Store& store, const RunRow& run, const ScoreVersions& scores,
                       Report& report);

/// Speed, memory and GPUs of each variant, as its workers reported them. Cells must be finished.
Status ReadMemory(Store& store, std::int64_t run, Report& report);

/// Report::environment and Report::database_digest.
Status DescribeExecution(Store& store, const RunRow& run, Report& report);

}  // namespace h1bench::reports

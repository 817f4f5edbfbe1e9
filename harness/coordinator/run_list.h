#pragma once

#include "harness/store/run_names.h"
#include "proto/h1bench.pb.h"

namespace h1bench {

/// Number, name, suite, state and time of a run, without its cells.
v1::RunProgress DescribeRun(const NamedRun& run);
/// All runs of a database so, by number.
Result<v1::ListRunsResponse> DescribeRuns(Store& store);

}  // namespace h1bench

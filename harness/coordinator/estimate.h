#pragma once

#include <cstdint>
#include <map>
#include <utility>

namespace h1bench {

/// What one worker is expected to need for the samples of one cell (variant and task). Every prompt
/// costs by SampleRow::cost_tokens, every generated token the same.
struct CellEstimate {
  double prompt_seconds_per_cost = 0;
  double seconds_per_token = 0;  // generated
  double expected_tokens = 0;    // generated for one sample
};

/// What a run is expected to take before it starts. The command line makes it (cli/run_plan.h): the
/// harness knows no engine.
struct RunEstimate {
  double seconds = 0;       // from the start to the last answer
  double load_seconds = 0;  // of those, until the first worker can compute
  double parallel = 1;      // seconds of work done in one second of the rest
  std::map<std::pair<std::int64_t, std::int64_t>, CellEstimate> cells;  // (variant id, task id)
  bool known() const { return seconds > 0; }
};

}  // namespace h1bench

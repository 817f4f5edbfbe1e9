#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "harness/store/store.h"
#include "reports/statistics/percentiles.h"

namespace h1bench::reports {

/// Forwards of one kind: prompts ("prefill"), next tokens ("decode"), or both ("mixed").
struct PhaseCost {
  std::string name;
  double seconds = 0;            // of all workers together
  std::optional<double> joules;  // absent unless every worker's card told
};

/// How long a variant's generations made one wait, and where its engines' time and energy went.
/// Only responses of this run count: what was looked up from an earlier one was not waited for.
struct Speed {
  /// Seconds from a worker's having a generation's request to its first token, waiting for others
  /// of the shard included; and from a token to the next.
  Percentiles ttft, inter_token;
  std::vector<PhaseCost> phases;
  bool empty() const { return ttft.n == 0 && inter_token.n == 0 && phases.empty(); }
};

/// Gathers the waits of one variant's responses.
class WaitMeter {
 public:
  void Add(const ResponseRow& response);
  void Finish(Speed& speed);

 private:
  std::vector<double> ttft_, inter_token_;
};

/// Adds one worker's record (MemoryRow::memory_json) to the phases.
void AddPhases(const Json& record, std::vector<PhaseCost>& phases);

}  // namespace h1bench::reports

#include "reports/speed.h"

#include <algorithm>

namespace h1bench::reports {
namespace {

/// A member of an object; null where there is none.
const Json* Child(const Json* json, const std::string& key) {
  return json != nullptr && json->is_object() ? json->Find(key) : nullptr;
}

std::optional<double> Number(const Json* json) {
  return json != nullptr && json->is_number() ? std::optional(json->as_double()) : std::nullopt;
}

}  // namespace

void WaitMeter::Add(const ResponseRow& response) {
  if (!response.error.empty()) return;
  if (response.generated_tokens > 0)
    ttft_.push_back(response.queue_seconds + response.prefill_seconds);
  for (const std::int32_t us : response.inter_token_us)
    inter_token_.push_back(static_cast<double>(us) / 1e6);
}

void WaitMeter::Finish(Speed& speed) {
  speed.ttft = PercentilesOf(ttft_);
  speed.inter_token = PercentilesOf(inter_token_);
}

void AddPhases(const Json& record, std::vector<PhaseCost>& phases) {
  for (const char* name : {"prefill", "decode", "mixed"}) {
    const double seconds = Number(Child(&record, std::string(name) + "_seconds")).value_or(0);
    if (seconds <= 0) continue;
    auto at = std::find_if(phases.begin(), phases.end(),
                           [&](const PhaseCost& phase) { return phase.name == name; });
    if (at == phases.end()) at = phases.insert(at, PhaseCost{name, 0, 0.0});
    at->seconds += seconds;
    const Json* const own = Child(Child(Child(&record, "gpu"), "phases"), name);
    const std::optional<double> joules = Number(Child(own, "joules"));
    at->joules = joules && at->joules ? std::optional(*at->joules + *joules) : std::nullopt;
  }
}

}  // namespace h1bench::reports

#include "runner/worker/usage.h"

#include <fstream>

#include "base/json.h"
#include "runner/worker/telemetry.h"

namespace h1bench {
namespace {

/// Bytes; 0 where /proc does not tell.
std::int64_t PeakMemory() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::int64_t kibibytes = 0;
  while (status >> word) {
    if (word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

}  // namespace

std::string UsageJson(const Usage& usage, Telemetry* gpu) {
  const EngineStats& stats = usage.stats;
  Json json;
  json.Set("weights", usage.memory.weights)
      .Set("kv", usage.memory.kv)
      .Set("state", usage.memory.state)
      .Set("workspace", usage.memory.workspace)
      .Set("context", usage.memory.context)
      .Set("peak_rss", PeakMemory());
  json.Set("load_seconds", usage.times.load)
      .Set("engine_seconds", usage.times.engine)
      .Set("wait_seconds", usage.times.wait)
      .Set("submit_seconds", usage.times.submit)
      .Set("prepare_seconds", stats.prepare_seconds);
  for (std::size_t i = 0; i < kPhases; ++i)
    json.Set(fmt::format("{}_seconds", PhaseName(static_cast<Phase>(i))), stats.phase_seconds[i]);
  json.Set("forwards", stats.forward_calls)
      .Set("computed_tokens", stats.fed_tokens)
      .Set("unshared_tokens", stats.sequence_tokens);
  if (stats.out_of_memory > 0) json.Set("out_of_memory", stats.out_of_memory);
  if (gpu != nullptr) json.Set("gpu", ToJson(gpu->Name(), gpu->Usage()));
  return WriteJson(json);
}

void ResetPeakMemory() { std::ofstream("/proc/self/clear_refs") << 5; }

}  // namespace h1bench

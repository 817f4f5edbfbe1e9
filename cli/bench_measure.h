#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench_cost.h"
#include "reports/statistics/percentiles.h"
#include "runner/worker/telemetry.h"

namespace h1bench::cli {

/// What `h1bench bench` measures.
struct BenchWork {
  std::int64_t prefill = 512, prompts = 1, decode = 128;  // tokens, prompts side by side, steps
  std::vector<std::int64_t> batches = {1, 8, 32};         // of decode
  int repeat = 3;
};

/// One line of the table: the same work several times.
struct Measurement {
  std::string phase;  // "prefill", "decode"
  std::int64_t batch = 1;
  double tokens = 0;                 // per repetition
  ForwardCost cost;                  // per repetition
  std::vector<double> seconds;       // of each repetition
  std::vector<double> step_seconds;  // decode: of each step of all of them
  std::int64_t gpu_tokens = 0;       // computed while the GPU was watched
  GpuUsage gpu{};                    // watched over all repetitions

  /// Absent without NVML and below a second: energy counters tick some ten times a second.
  std::optional<double> JoulesPerToken() const {
    if (!gpu.joules || gpu.seconds < 1 || gpu_tokens == 0) return {};
    return *gpu.joules / static_cast<double>(gpu_tokens);
  }
  /// Seconds from a prompt's start to its first token (prefill), from a token to the next (decode).
  reports::Percentiles Waits() const {
    std::vector<double> times = phase == "prefill" ? seconds : step_seconds;
    return reports::PercentilesOf(times);
  }
  /// Tokens a second at the slowest, middle and fastest repetition.
  double Rate(double quantile) const {
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    const auto last = static_cast<double>(sorted.size() - 1);
    return tokens / sorted[static_cast<std::size_t>(quantile * last + 0.5)];
  }
  double Gflops() const { return cost.flops / tokens * Rate(0.5) / 1e9; }
  double Gigabytes() const { return cost.bytes / tokens * Rate(0.5) / 1e9; }
};

/// Prefill, then decode of every batch. `gpu`: null where nobody watches one.
Result<std::vector<Measurement>> RunBenchWork(Backend& backend, const BenchWork& work,
                                              Telemetry* gpu);

}  // namespace h1bench::cli

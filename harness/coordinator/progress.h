#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "harness/coordinator/estimate.h"
#include "harness/store/store.h"
#include "proto/h1bench.pb.h"

namespace h1bench {

/// How far a run is: counted from the store once, then kept up by events.
class ProgressCounter {
 public:
  /// Counts what is there. Also used again at the end, when answers shared between tasks are in.
  Status Scan(Store& store, std::int64_t run);
  void Answered(const SampleRow& sample, const ResponseRow& response,
                std::chrono::steady_clock::time_point now);
  void GivenUp(const SampleRow& sample);
  void Scored(std::int64_t sample_id, const ScoreRow& score);

  /// What was expected before the start, at `started`. Without it the time left is known only once
  /// answers have come.
  void Expect(const RunEstimate& estimate, std::chrono::steady_clock::time_point started);
  /// Samples that a worker has and has not answered, and since when it is at them.
  struct InFlight {
    std::chrono::steady_clock::time_point since;
    const std::map<std::int64_t, SampleRow>* samples;
  };
  /// Fills cells and eta_seconds. The time left is what was expected of the work left, with the
  /// answers' lengths as they come, times how much longer than expected the work done took.
  void Describe(v1::RunProgress& out, std::chrono::steady_clock::time_point now,
                const std::vector<InFlight>& in_flight) const;

 private:
  using CellKey = std::pair<std::int64_t, std::int64_t>;  // place of variant, place of task
  using Time = std::chrono::steady_clock::time_point;
  struct Cell {
    std::string model, precision, task, metric;
    std::int64_t total = 0, done = 0, scored = 0, cost = 0, cost_done = 0, tokens = 0;
    double sum = 0;
    // Answers of this execution.
    std::int64_t fresh = 0, fresh_cost = 0, fresh_generated = 0;
    Time first{}, last{};
    CellEstimate estimate;
  };
  Cell* CellOf(std::int64_t variant, std::int64_t task);
  static double ExpectedTokens(const Cell& cell);
  /// Seconds of one worker.
  static double WorkDone(const Cell& cell);
  static double WorkLeft(const Cell& cell);
  double Credit(const InFlight& work, Time now) const;
  void DescribeByEstimate(v1::RunProgress& out, Time now,
                          const std::vector<InFlight>& in_flight) const;
  void DescribeByRate(v1::RunProgress& out, Time now) const;

  std::map<std::pair<std::int64_t, std::int64_t>, CellKey> keys_;  // (variant id, task id)
  std::map<CellKey, Cell> cells_;
  std::map<std::int64_t, CellKey> unscored_;  // sample -> cell, until its score comes
  std::int64_t fresh_cost_ = 0;               // answered in this execution, tokens
  Time first_{}, last_{};
  RunEstimate estimate_;
  Time started_{};
};

}  // namespace h1bench

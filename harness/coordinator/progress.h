#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

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
  /// Fills cells and eta_seconds.
  void Describe(v1::RunProgress& out, std::chrono::steady_clock::time_point now) const;

 private:
  using CellKey = std::pair<std::int64_t, std::int64_t>;  // place of variant, place of task
  using Time = std::chrono::steady_clock::time_point;
  struct Cell {
    std::string model, precision, task, metric;
    std::int64_t total = 0, done = 0, scored = 0, cost = 0, cost_done = 0, tokens = 0;
    double sum = 0;
    Time first{}, last{};  // answers of this execution
  };
  Cell* CellOf(std::int64_t variant, std::int64_t task);

  std::map<std::pair<std::int64_t, std::int64_t>, CellKey> keys_;  // (variant id, task id)
  std::map<CellKey, Cell> cells_;
  std::map<std::int64_t, CellKey> unscored_;  // sample -> cell, until its score comes
  std::int64_t fresh_cost_ = 0;               // answered in this execution, tokens
  Time first_{}, last_{};
};

}  // namespace h1bench

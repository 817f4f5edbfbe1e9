#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/store/store.h"
#include "reports/report.h"

namespace h1bench::reports {

/// Collects the samples of one variant on one task as they stream by, then says what they come to.
/// Not thread-safe; the task must outlive it.
class CellCollector {
 public:
  /// `bos_id`: of the variant's tokenizer, where it has one. `timing`: ReportOptions::timing.
  CellCollector(const ReportTask& task, std::optional<std::int64_t> bos_id, bool timing)
      : task_(task), bos_id_(bos_id), timing_(timing) {}

  /// `response` and `score` are null where there is none (yet).
  void Add(const SampleRow& sample, const ResponseRow* response, const ScoreRow* score,
           bool poisoned);

  /// The cell of a variant with a context of `max_length` tokens.
  Cell Finish(std::int64_t max_length);

 private:
  using Document = std::pair<std::string, std::int64_t>;  // subset, index

  /// Repeats of a document are one observation: counting them apart would narrow every interval.
  struct Repeats {
    double sum = 0;
    std::int64_t n = 0, passed = 0;
    double mean() const { return sum / static_cast<double>(n); }
  };
  using Labelled = std::vector<std::pair<std::string, double>>;  // subset, value

  void CountResponse(const SampleRow& sample, const ResponseRow& response);
  void CountBos(const ResponseRow& response);
  void CountScore(const SampleRow& sample, const ScoreRow& score);
  /// What an error or a poisoned document counts as: leaving it out would flatter the model.
  ScoreRow Wrong() const;
  /// The means by document with their subsets; empty for a metric that nobody scored.
  Labelled Values(const std::string& metric) const;
  /// Lengths beyond a model's limit are not asked: n/a, and no average with models that were.
  void NoteLimit(std::int64_t max_length);
  Estimate Micro(const Labelled& values) const;
  void Estimates();
  void AddPassAtK();

  const ReportTask& task_;
  std::optional<std::int64_t> bos_id_;
  bool timing_;
  Cell cell_;
  std::map<std::string, std::map<Document, Repeats>> metrics_;
  std::map<std::string, std::int64_t> verdicts_;
  std::map<std::pair<std::string, std::string>, std::int64_t> first_;  // (subset, id) -> index
};

}  // namespace h1bench::reports

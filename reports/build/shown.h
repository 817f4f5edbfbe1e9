#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "harness/store/store.h"
#include "reports/report.h"

namespace h1bench::reports {

/// Chooses the documents that a report shows with every model's answers, and collects them. The
/// samples are read twice: Note() all of them, Choose(), then Take() all again, so that only what
/// is shown is kept in memory. Not thread-safe; the report must outlive it.
class ShownSamples {
 public:
  ShownSamples(const Report& report, const ReportOptions& options)
      : report_(report), options_(options) {}

  void Note(std::size_t variant, std::size_t task, const SampleRow& sample, const ScoreRow* score);

  /// At most ReportOptions::documents_per_task of each task: half of them documents on which models
  /// disagree, a quarter that all have wrong, a quarter that all have right, each evenly from the
  /// whole task; what one kind leaves free goes to the others in this order.
  void Choose();

  void Take(std::size_t variant, std::size_t task, const SampleRow& sample,
            const ResponseRow* response, const ScoreRow* score);

  /// Moves what was taken into the report: samples by task, subset, index, repeat and variant,
  /// prompts once each, and what the prompts of a subset have in common at their beginning once.
  void MoveInto(Report& report);

 private:
  using Document = std::tuple<std::size_t, std::string, std::int64_t>;  // task, subset, index
  enum class Mark : std::uint8_t { kNone, kRight, kWrong };

  static bool Differ(const std::vector<Mark>& marks);
  double PrimaryScore(std::size_t task, const ScoreRow* score) const;
  std::size_t PromptPlace(const SampleRow& sample);
  /// The text, or its two ends when it is longer than ReportOptions::sample_bytes.
  std::string Cut(const std::string& text, bool& cut) const;
  static void FoldPrefixes(Report& report);

  const Report& report_;
  const ReportOptions& options_;
  std::map<Document, std::vector<Mark>> marks_;       // by variant
  std::map<Document, bool> chosen_;                   // -> do models disagree on it
  std::map<std::string, std::size_t> prompt_places_;  // by SHA-256
  std::vector<ReportPrompt> prompts_;
  std::vector<ReportSample> samples_;
};

}  // namespace h1bench::reports

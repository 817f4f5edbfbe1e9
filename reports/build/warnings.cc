#include "reports/build/warnings.h"

#include <fmt/format.h>

namespace h1bench::reports {
namespace {

class Collector {
 public:
  explicit Collector(Report& report) : report_(report) {}

  void Limits(const ReportVariant& variant, ReportTask& task, const Cell& cell) {
    if (cell.partly_missing.empty()) return;
    Add(task, fmt::format("{} on {}: {}: n/a there; its score is of the shorter lengths, and it "
                          "has no average",
                          variant.label(), task.name, cell.partly_missing));
  }

  void Counts(const ReportVariant& variant, ReportTask& task, const Cell& cell) {
    Warn(variant, task, cell.samples - cell.scored, cell.samples, "samples have no score yet");
    Warn(variant, task, cell.errors, cell.samples, "requests could not be answered by the engine");
    Warn(variant, task, cell.poisoned, cell.samples,
         "documents were given up after three lost workers");
    Warn(variant, task, cell.truncated, cell.samples,
         "prompts were cut on the left to fit the context");
    Answers(variant, task, cell);
    for (const auto& [verdict, count] : cell.verdicts) {
      if (verdict == "sandbox_error")
        Warn(variant, task, count, cell.samples, "programs could not be judged (sandbox_error)");
      if (verdict == "regex_limit")
        Warn(variant, task, count, cell.samples,
             "responses count as wrong: a filter's expression did too much work (regex_limit)");
    }
  }

 private:
  void Warn(const ReportVariant& variant, ReportTask& task, std::int64_t count, std::int64_t of,
            const std::string& what) {
    if (count == 0) return;
    Add(task, fmt::format("{} on {}: {} of {} {}", variant.label(), task.name, count, of, what));
  }

  void Add(ReportTask& task, std::string warning) {
    task.warnings.push_back(warning);
    report_.warnings.push_back(std::move(warning));
  }

  /// Of a task whose answers are all alike in a way that a mistake in its set-up explains.
  void Answers(const ReportVariant& variant, ReportTask& task, const Cell& cell) {
    Warn(variant, task, cell.double_bos, cell.samples,
         "prompts begin with BOS twice: their text has it twice");
    Warn(variant, task, cell.missing_bos, cell.samples,
         "prompts lack the BOS that the task asks for: it was cut off with their left end");
    const std::int64_t answered = cell.scored - cell.errors - cell.poisoned;
    if (answered <= 0) return;
    const std::string bos =
        task.wants_bos || !variant.bos_id ? "" : ", and try `bos: once`: no BOS was asked for";
    if (cell.empty == answered)
      Warn(variant, task, answered, cell.samples,
           "responses are empty: look at a stop string" + bos);
    if (cell.invalid == answered)
      Warn(variant, task, answered, cell.samples,
           "answers are invalid: nothing could be extracted by at least one filter; look at some" +
               bos);
    // RULER's budgets are as short as its answers: ending there says nothing.
    if (cell.at_limit == answered && task.describe.Find("by_length") == nullptr)
      Warn(variant, task, answered, cell.samples,
           "responses were cut at max_new_tokens: nothing stopped them");
  }

  Report& report_;
};

}  // namespace

void CollectWarnings(Report& report, std::int64_t divergences) {
  Collector collector(report);
  const auto each = [&](auto method) {
    for (const ReportVariant& variant : report.variants) {
      for (std::size_t t = 0; t < report.tasks.size(); ++t)
        (collector.*method)(variant, report.tasks[t], variant.cells[t]);
    }
  };
  each(&Collector::Limits);
  each(&Collector::Counts);
  std::int64_t looked_up = 0;
  for (const ReportVariant& variant : report.variants) {
    for (const Cell& cell : variant.cells) looked_up += cell.looked_up;
  }
  if (looked_up > 0) {
    report.warnings.push_back(
        fmt::format("{} of {} responses were looked up from an earlier run of this database: "
                    "speed is that of the others",
                    looked_up, report.samples_total));
  }
  if (divergences > 0) {
    report.warnings.push_back(
        fmt::format("{} requests were answered twice and differently: the determinism promise is "
                    "broken, please report it",
                    divergences));
  }
}

}  // namespace h1bench::reports

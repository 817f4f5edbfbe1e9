#include "reports/report.h"

#include <algorithm>
#include <limits>
#include <set>

#include "harness/store/run_names.h"
#include "reports/build/cell.h"
#include "reports/build/execution.h"
#include "reports/build/json_members.h"
#include "reports/build/ranking.h"
#include "reports/build/shown.h"
#include "reports/build/warnings.h"

namespace h1bench::reports {
namespace {

Result<ReportTask> MakeTask(const RunTaskRow& row) {
  ReportTask task;
  task.id = row.id;
  task.name = row.name;
  task.task = row.task;
  task.data_digest = row.data_digest;
  auto describe = ParseJson(row.describe_json);
  if (!describe.ok())
    return describe.status().WithContext("run_tasks.describe_json of " + row.name);
  task.describe = std::move(*describe);
  task.kind = TextMember(task.describe, "kind");
  task.primary = TextMember(task.describe, "primary");
  task.protocol = TextMember(task.describe, "protocol");
  task.headline = TextMember(task.describe, "headline");
  task.shots = IntegerMember(task.describe, "shots");
  if (auto options = ParseJson(row.options_json); options.ok()) {
    const bool partly = task.describe.Find("partly_chat") != nullptr;
    task.wants_bos =
        TextMember(*options, "bos") == "once" || (!TextMember(*options, "chat").empty() && !partly);
    task.options = std::move(*options);
  }
  const Json* chance = task.describe.Find("chance");
  if (chance != nullptr && chance->is_number()) task.chance = chance->as_double();
  return task;
}

ReportVariant MakeVariant(const VariantRow& row) {
  ReportVariant variant;
  variant.id = row.id;
  variant.name = row.model_name;
  variant.precision = row.precision;
  variant.digest = row.model_digest;
  variant.parameters = row.parameters;
  variant.weight_bytes = row.weight_bytes;
  variant.max_length = row.max_length;
  if (const auto config = ParseJson(row.config_json); config.ok()) {
    const Json* bos = config->Find("bos_token_id");
    if (bos != nullptr && bos->is_integer()) variant.bos_id = bos->as_int();
  }
  return variant;
}

template <typename Rows>
std::size_t PlaceOf(const Rows& rows, std::int64_t id) {
  return static_cast<std::size_t>(
      std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.id == id; }) -
      rows.begin());
}

class Builder {
 public:
  Builder(Store& store, const ReportOptions& options) : store_(store), options_(options) {}

  Result<Report> Build(std::int64_t run) {
    H1_RETURN_IF_ERROR(ReadRun(run));
    H1_RETURN_IF_ERROR(ReadSamples());
    H1_RETURN_IF_ERROR(ReadEarlierScores());
    for (std::size_t v = 0; v < report_.variants.size(); ++v) FinishVariant(v);
    if (options_.timing) H1_RETURN_IF_ERROR(ReadMemory(store_, run_.id, report_));
    Rank(report_);
    H1_RETURN_IF_ERROR(DescribeMethods(store_, run_, scores_, report_));
    if (options_.timing) H1_RETURN_IF_ERROR(DescribeExecution(store_, run_, report_));
    const auto divergences = options_.timing ? store_.Divergences() : Result<std::int64_t>(0);
    CollectWarnings(report_, divergences.ok() ? *divergences : 0);
    if (options_.timing) H1_RETURN_IF_ERROR(WarnOfWorkers());
    return std::move(report_);
  }

 private:
  /// Those that were refused or gave up: about this execution, not about its results.
  Status WarnOfWorkers() {
    H1_ASSIGN_OR_RETURN(const std::vector<FailureRow> failures, store_.Failures(run_.id));
    for (const FailureRow& failure : failures)
      report_.warnings.push_back(
          fmt::format("worker {} did not work: {}", failure.worker, failure.reason));
    return Status::Ok();
  }

  Status ReadRun(std::int64_t run) {
    H1_ASSIGN_OR_RETURN(run_, store_.GetRun(run));
    report_.run = run_.id;
    if (options_.timing) {
      H1_ASSIGN_OR_RETURN(const NamedRun named, FindRun(store_, std::to_string(run_.id), ""));
      report_.run_name = named.name;
    }
    report_.title = run_.name;
    report_.description = run_.description;
    report_.state = run_.state;
    report_.suite_text = run_.suite_text;
    report_.seed = run_.seed;
    report_.timing = options_.timing;
    H1_ASSIGN_OR_RETURN(const std::vector<RunTaskRow> tasks, store_.Tasks(run_.id));
    for (const RunTaskRow& row : tasks) {
      H1_ASSIGN_OR_RETURN(ReportTask task, MakeTask(row));
      report_.tasks.push_back(std::move(task));
    }
    H1_ASSIGN_OR_RETURN(const std::vector<VariantRow> variants, store_.Variants(run_.id));
    waits_.resize(variants.size());
    for (const VariantRow& row : variants) report_.variants.push_back(MakeVariant(row));
    cells_ = EmptyCells();
    H1_ASSIGN_OR_RETURN(const std::vector<std::int64_t> poisoned, store_.PoisonedSamples(run_.id));
    poisoned_.insert(poisoned.begin(), poisoned.end());
    return Status::Ok();
  }

  std::vector<std::vector<CellCollector>> EmptyCells() const {
    std::vector<std::vector<CellCollector>> cells;
    for (const ReportVariant& variant : report_.variants) {
      std::vector<CellCollector>& row = cells.emplace_back();
      for (const ReportTask& task : report_.tasks)
        row.emplace_back(task, variant.bos_id, options_.timing);
    }
    return cells;
  }

  /// Twice over the samples: what they come to, and which to show; then those.
  Status ReadSamples() {
    ShownSamples shown(report_, options_);
    H1_RETURN_IF_ERROR(EachSample([&](std::size_t v, std::size_t t, const SampleRow& sample,
                                      const ResponseRow* response, const ScoreRow* score) {
      ++report_.samples_total;
      cells_[v][t].Add(sample, response, score, poisoned_.count(sample.id) != 0);
      if (score != nullptr) scores_.version = std::max(scores_.version, score->version);
      if (response != nullptr || score != nullptr) shown.Note(v, t, sample, score);
      if (options_.timing && response != nullptr && sample.attempts > 0) waits_[v].Add(*response);
    }));
    for (std::size_t v = 0; v < waits_.size(); ++v) waits_[v].Finish(report_.variants[v].speed);
    shown.Choose();
    H1_RETURN_IF_ERROR(EachSample([&](std::size_t v, std::size_t t, const SampleRow& sample,
                                      const ResponseRow* response, const ScoreRow* score) {
      if (response != nullptr || score != nullptr) shown.Take(v, t, sample, response, score);
    }));
    shown.MoveInto(report_);
    return Status::Ok();
  }

  /// What every version of the scores before the newest came to.
  Status ReadEarlierScores() {
    for (std::int64_t version = 1; version < scores_.version; ++version) {
      std::vector<std::vector<CellCollector>> cells = EmptyCells();
      H1_RETURN_IF_ERROR(
          EachSample(version, [&](std::size_t v, std::size_t t, const SampleRow& sample,
                                  const ResponseRow* response, const ScoreRow* score) {
            cells[v][t].Add(sample, response, score, poisoned_.count(sample.id) != 0);
          }));
      for (std::size_t v = 0; v < cells.size(); ++v) {
        for (std::size_t t = 0; t < cells[v].size(); ++t) {
          const Cell cell = cells[v][t].Finish(report_.variants[v].max_length);
          if (cell.scored > 0) scores_.earlier[version].push_back({v, t, cell.primary.mean});
        }
      }
    }
    return Status::Ok();
  }

  template <typename Each>
  Status EachSample(const Each& each) {
    return EachSample(std::numeric_limits<std::int64_t>::max(), each);
  }
  /// With the scores up to a version.
  template <typename Each>
  Status EachSample(std::int64_t version, const Each& each) {
    return store_.ForEachSampleAt(
        run_.id, version,
        [&](const VariantRow& variant, const RunTaskRow& task, const SampleRow& sample,
            const ResponseRow* response, const ScoreRow* score) {
          each(PlaceOf(report_.variants, variant.id), PlaceOf(report_.tasks, task.id), sample,
               response, score);
          return Status::Ok();
        });
  }

  void FinishVariant(std::size_t v) {
    ReportVariant& variant = report_.variants[v];
    for (CellCollector& collector : cells_[v]) {
      const Cell& cell = variant.cells.emplace_back(collector.Finish(variant.max_length));
      variant.prompt_tokens += cell.prompt_tokens;
      variant.generated_tokens += cell.generated_tokens;
    }
    AverageTasks(variant);
  }

  Store& store_;
  const ReportOptions& options_;
  RunRow run_;
  Report report_;
  ScoreVersions scores_;
  std::vector<WaitMeter> waits_;                   // by variant
  std::vector<std::vector<CellCollector>> cells_;  // [variant][task]
  std::set<std::int64_t> poisoned_;
};

}  // namespace

Result<Report> BuildReport(Store& store, std::int64_t run, const ReportOptions& options) {
  return Builder(store, options).Build(run);
}

std::vector<std::string> ScopeOfDeterminism() {
  return {
      "For one build, one backend and one processor model, a response's bits do not depend on "
      "batch size, order or the other requests in flight (L1), "
      "on prefix reuse or chunked prefill (L2), or on how many workers ran or died (L3).",
      "Equality of bits across processor or GPU models, instruction sets or library versions is "
      "not claimed.",
      "The results digest covers every response and score and leaves out times, workers and "
      "attempts.",
  };
}

}  // namespace h1bench::reports

#include "harness/coordinator/progress.h"

#include <algorithm>

#include "base/json.h"

namespace h1bench {
namespace {

double Seconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

std::string PrimaryMetric(const RunTaskRow& task) {
  const Result<Json> json = ParseJson(task.describe_json);
  const Json* primary = json.ok() ? json->Find("primary") : nullptr;
  return primary != nullptr && primary->is_string() ? primary->as_string() : "";
}

}  // namespace

Status ProgressCounter::Scan(Store& store, std::int64_t run) {
  H1_ASSIGN_OR_RETURN(const auto variants, store.Variants(run));
  H1_ASSIGN_OR_RETURN(const auto tasks, store.Tasks(run));
  H1_ASSIGN_OR_RETURN(const auto poisoned_list, store.PoisonedSamples(run));
  const std::set<std::int64_t> poisoned(poisoned_list.begin(), poisoned_list.end());
  std::map<CellKey, Cell> old = std::move(cells_);
  cells_.clear();
  unscored_.clear();
  for (std::size_t v = 0; v < variants.size(); ++v) {
    for (std::size_t t = 0; t < tasks.size(); ++t) {
      const CellKey key{static_cast<std::int64_t>(v), static_cast<std::int64_t>(t)};
      keys_[{variants[v].id, tasks[t].id}] = key;
      Cell& cell = cells_[key];
      cell.model = variants[v].model_name;
      cell.precision = variants[v].precision;
      cell.task = tasks[t].name;
      cell.metric = PrimaryMetric(tasks[t]);
      cell.tokens = old[key].tokens;
      cell.first = old[key].first;
      cell.last = old[key].last;
    }
  }
  return store.ForEachSample(
      run, [&](const VariantRow& variant, const RunTaskRow& task, const SampleRow& sample,
               const ResponseRow* response, const ScoreRow* score) {
        Cell& cell = *CellOf(variant.id, task.id);
        ++cell.total;
        cell.cost += sample.cost_tokens;
        if (response != nullptr || poisoned.count(sample.id) > 0) {
          ++cell.done;
          cell.cost_done += sample.cost_tokens;
          unscored_[sample.id] = keys_[{variant.id, task.id}];
        }
        if (score != nullptr) Scored(sample.id, *score);
        return Status::Ok();
      });
}

ProgressCounter::Cell* ProgressCounter::CellOf(std::int64_t variant, std::int64_t task) {
  return &cells_[keys_[{variant, task}]];
}

void ProgressCounter::Answered(const SampleRow& sample, const ResponseRow& response, Time now) {
  Cell& cell = *CellOf(sample.variant_id, sample.run_task_id);
  ++cell.done;
  cell.cost_done += sample.cost_tokens;
  cell.tokens += response.prompt_tokens + response.generated_tokens;
  if (cell.first == Time{}) cell.first = now;
  cell.last = now;
  if (first_ == Time{}) first_ = now;
  last_ = now;
  fresh_cost_ += sample.cost_tokens;
  unscored_[sample.id] = keys_[{sample.variant_id, sample.run_task_id}];
}

void ProgressCounter::GivenUp(const SampleRow& sample) {
  Cell& cell = *CellOf(sample.variant_id, sample.run_task_id);
  ++cell.done;
  cell.cost_done += sample.cost_tokens;
}

void ProgressCounter::Scored(std::int64_t sample_id, const ScoreRow& score) {
  const auto found = unscored_.find(sample_id);
  if (found == unscored_.end()) return;
  Cell& cell = cells_[found->second];
  unscored_.erase(found);
  for (const auto& [metric, value] : score.scores) {
    if (metric != cell.metric) continue;
    ++cell.scored;
    cell.sum += value;
  }
}

void ProgressCounter::Describe(v1::RunProgress& out, Time now) const {
  // Tokens of the cost model a second, over all workers. The first answers carry the loading of
  // models: known only once some time has passed.
  const double elapsed = first_ == Time{} ? 0 : Seconds(now - first_);
  const double rate = elapsed > 0.5 ? static_cast<double>(fresh_cost_) / elapsed : 0;
  double left_total = 0;
  for (const auto& [key, cell] : cells_) {
    v1::CellProgress& row = *out.add_cells();
    row.set_model(cell.model);
    row.set_precision(cell.precision);
    row.set_task(cell.task);
    row.set_total(cell.total);
    row.set_done(cell.done);
    row.set_scored(cell.scored);
    row.set_metric(cell.metric);
    row.set_score(cell.scored == 0 ? 0 : cell.sum / static_cast<double>(cell.scored));
    const double busy = Seconds(cell.last - cell.first);
    row.set_tokens_per_second(busy > 0 ? static_cast<double>(cell.tokens) / busy : 0);
    const auto left = static_cast<double>(cell.cost - cell.cost_done);
    row.set_eta_seconds(left == 0 ? 0 : rate > 0 ? left / rate : -1);
    left_total += left;
  }
  out.set_eta_seconds(left_total == 0 ? 0 : rate > 0 ? left_total / rate : -1);
}

}  // namespace h1bench

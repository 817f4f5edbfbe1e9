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
  H1_ASSIGN_OR_RETURN(const auto counts, store.CountSamples(run));
  for (const Store::CellCount& count : counts) {
    Cell& cell = *CellOf(count.variant_id, count.run_task_id);
    cell.total = count.samples;
    cell.cost = count.cost_tokens;
  }
  return store.ForEachDone(run, [&](const SampleRow& sample, const ScoreRow* score) {
    Cell& cell = *CellOf(sample.variant_id, sample.run_task_id);
    ++cell.done;
    cell.cost_done += sample.cost_tokens;
    unscored_[sample.id] = keys_[{sample.variant_id, sample.run_task_id}];
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
  ++cell.fresh;
  cell.fresh_cost += sample.cost_tokens;
  cell.fresh_generated += response.generated_tokens;
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

void ProgressCounter::Expect(const RunEstimate& estimate, Time started) {
  estimate_ = estimate;
  started_ = started;
  for (const auto& [ids, cell] : estimate.cells) CellOf(ids.first, ids.second)->estimate = cell;
}

double ProgressCounter::ExpectedTokens(const Cell& cell) {
  // Short answers come first: a few of them say little yet.
  constexpr double kPrior = 16;
  return (kPrior * cell.estimate.expected_tokens + static_cast<double>(cell.fresh_generated)) /
         (kPrior + static_cast<double>(cell.fresh));
}

double ProgressCounter::WorkDone(const Cell& cell) {
  return static_cast<double>(cell.fresh_cost) * cell.estimate.prompt_seconds_per_cost +
         static_cast<double>(cell.fresh_generated) * cell.estimate.seconds_per_token;
}

double ProgressCounter::WorkLeft(const Cell& cell) {
  return static_cast<double>(cell.cost - cell.cost_done) * cell.estimate.prompt_seconds_per_cost +
         static_cast<double>(cell.total - cell.done) * ExpectedTokens(cell) *
             cell.estimate.seconds_per_token;
}

/// Work in hand counts as done while its time passes, but never to the end.
double ProgressCounter::Credit(const InFlight& work, Time now) const {
  double expected = 0;
  for (const auto& [id, sample] : *work.samples) {
    const Cell& cell = cells_.at(keys_.at({sample.variant_id, sample.run_task_id}));
    expected += static_cast<double>(sample.cost_tokens) * cell.estimate.prompt_seconds_per_cost +
                ExpectedTokens(cell) * cell.estimate.seconds_per_token;
  }
  const double loaded = Seconds(started_.time_since_epoch()) + estimate_.load_seconds;
  const double begun = std::max(Seconds(work.since.time_since_epoch()), loaded);
  return std::clamp(Seconds(now.time_since_epoch()) - begun, 0.0, 0.9 * expected);
}

void ProgressCounter::DescribeByEstimate(v1::RunProgress& out, Time now,
                                         const std::vector<InFlight>& in_flight) const {
  double done = 0, left = 0, credit = 0;
  for (const auto& [key, cell] : cells_) {
    done += WorkDone(cell);
    left += WorkLeft(cell);
  }
  for (const InFlight& work : in_flight) credit += Credit(work, now);
  credit = std::min(credit, left);
  const double elapsed = Seconds(now - started_), load = estimate_.load_seconds;
  const double expected = std::min(elapsed, load) + (done + credit) / estimate_.parallel;
  // The first seconds say little about all others.
  const double prior = std::max(2.0, 0.1 * estimate_.seconds);
  const double slower = (elapsed + prior) / (expected + prior);
  const double per_work =
      left > 0 ? (left - credit) / left / estimate_.parallel * slower : 0;  // seconds
  int place = 0;
  for (const auto& [key, cell] : cells_)
    out.mutable_cells(place++)->set_eta_seconds(WorkLeft(cell) * per_work);
  out.set_eta_seconds(left * per_work + std::max(0.0, load - elapsed));
}

void ProgressCounter::DescribeByRate(v1::RunProgress& out, Time now) const {
  // Tokens of the cost model a second, over all workers. The first answers carry the loading of
  // models: known only once some time has passed.
  const double elapsed = first_ == Time{} ? 0 : Seconds(now - first_);
  const double rate = elapsed > 0.5 ? static_cast<double>(fresh_cost_) / elapsed : 0;
  const auto seconds = [&](std::int64_t left) {
    return left == 0 ? 0 : rate > 0 ? static_cast<double>(left) / rate : -1;
  };
  std::int64_t left = 0;
  int place = 0;
  for (const auto& [key, cell] : cells_) {
    out.mutable_cells(place++)->set_eta_seconds(seconds(cell.cost - cell.cost_done));
    left += cell.cost - cell.cost_done;
  }
  out.set_eta_seconds(seconds(left));
}

void ProgressCounter::Describe(v1::RunProgress& out, Time now,
                               const std::vector<InFlight>& in_flight) const {
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
  }
  if (estimate_.known()) {
    out.set_expected_seconds(estimate_.seconds);
    DescribeByEstimate(out, now, in_flight);
  } else {
    DescribeByRate(out, now);
  }
}

}  // namespace h1bench

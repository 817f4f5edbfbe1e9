#include "cli/run_plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "base/json.h"
#include "cli/forward_rates.h"
#include "cli/units.h"
#include "harness/coordinator/deal.h"
#include "harness/coordinator/request.h"
#include "runner/estimate/rehearsal.h"
#include "runner/worker/worker.h"
#include "tasks/typical_length.h"

namespace h1bench::cli {
namespace {

/// Prompts of one cell that are rehearsed; the others are taken to be like them.
constexpr std::size_t kRehearsedBytes = 1 << 20;
constexpr std::size_t kLeastBytesOfACell = 64 << 10;
/// From the start of a worker's process to its first lease.
constexpr double kStartSeconds = 0.1;
/// Of one core, for a program that is judged (tasks/sandbox/README.md: 42 to 53 a second on two).
constexpr double kJudgeSeconds = 0.04;

Status NotEnough(const VariantRow& variant, const MemoryPlan& least, const MemoryPlan& as_bf16,
                 const RunPlan& plan) {
  std::vector<std::string> ways;
  const std::int64_t all = plan.budget * plan.workers, fitting = all / least.total();
  if (plan.workers > 1 && fitting >= 1) ways.push_back(fmt::format("--workers {}", fitting));
  if (variant.precision != "bf16" && as_bf16.total() <= plan.budget)
    ways.push_back(fmt::format("precision bf16 ({})", FormatBytes(as_bf16.total())));
  ways.push_back(fmt::format("--memory {:.1f}GB",
                             static_cast<double>(least.total() * plan.workers) / 1e9 + 0.05));
  std::string fits = ways.front();
  for (std::size_t i = 1; i < ways.size(); ++i)
    fits += (i + 1 < ways.size() ? ", " : " or ") + ways[i];
  return ResourceExhausted(
      "not enough memory: {} {} needs {} a worker (weights {}, workspace and process {}, one short "
      "sequence {}), the budget is {} a worker (--memory, shared among {} worker{}; default: 80 % "
      "of "
      "what is free). It fits with {}.",
      variant.model_name, variant.precision, FormatBytes(least.total()), FormatBytes(least.weights),
      FormatBytes(least.workspace + least.context), FormatBytes(least.kv + least.state),
      FormatBytes(plan.budget), plan.workers, plan.workers == 1 ? "" : "s", fits);
}

/// One variant on one task: its leases in the order in which they are given.
struct Leases {
  std::vector<const Turn*> all, rehearsed;
  std::size_t prompt_bytes = 0;
  double expected_tokens = 0;  // of an answer
};

/// The leases that are rehearsed, at equal distances: so many bytes of prompts and one at least; of
/// those with one long prompt each as many as a worker may have under way together.
void Choose(std::size_t most_bytes, Leases& leases) {
  const std::size_t size = leases.all.size();
  const bool alone = std::ranges::all_of(
      leases.all, [](const Turn* turn) { return turn->shard.samples.size() == 1; });
  std::size_t count = size;
  if (leases.prompt_bytes > most_bytes)
    count = std::max(most_bytes * size / leases.prompt_bytes, alone ? kMostLeases : 1);
  count = std::min(count, size);
  for (std::size_t i = 0; i < count; ++i) leases.rehearsed.push_back(leases.all[i * size / count]);
}

class Planner {
 public:
  explicit Planner(const PlanInput& input) : input_(input) {
    for (const SampleRow& sample : input.samples) samples_[sample.id] = &sample;
    for (const RunTaskRow& task : input.tasks) tasks_[task.id] = &task;
  }

  Result<RunPlan> Make() {
    plan_.workers = input_.arguments.workers;
    plan_.budget = input_.arguments.engine.memory_bytes;
    if (input_.arguments.engine.engine == "null") return std::move(plan_);
    if (input_.store != nullptr) {
      H1_ASSIGN_OR_RETURN(answers_, input_.store->AnswerTokens());
    }
    H1_ASSIGN_OR_RETURN(
        shards_,
        BuildShards(input_.samples, ChooseLimits(input_.samples, plan_.workers), input_.prompt));
    // Before it is known what they take: by cost.
    turns_ = DealOut(
        shards_, plan_.workers, 0,
        [](const Shard& shard) { return static_cast<double>(shard.cost); },
        [](std::int64_t) { return 0.0; });
    for (const Turn& turn : turns_)  // the first ones: a worker each
      if (turn.worker == plan_.first_variants.size())
        plan_.first_variants.push_back(turn.shard.variant_id);
    for (const VariantRow& variant : input_.variants) H1_RETURN_IF_ERROR(AddVariant(variant));
    if (rates_everywhere_) Simulate();
    return std::move(plan_);
  }

 private:
  const SampleRow& SampleOf(const Shard& shard, std::size_t place = 0) const {
    return *samples_.at(shard.samples[place]);
  }

  Status AddVariant(const VariantRow& row) {
    const LoadedModel& model = input_.models.Loaded(row.model_path);
    const std::string engine = ResolveEngine(input_.arguments.engine.engine);
    H1_ASSIGN_OR_RETURN(const EngineOptions options,
                        OptionsForVariant(ToEngineOptions(input_.arguments.engine), engine,
                                          row.precision, row.max_length));
    const MemoryPlan least = PlanMemory(model.config.shape, options.backend, 1, 2);
    if (least.total() > plan_.budget) {
      BackendOptions bf16 = options.backend;
      bf16.precision = Precision::kBf16;
      return NotEnough(row, least, PlanMemory(model.config.shape, bf16, 1, 2), plan_);
    }
    H1_ASSIGN_OR_RETURN(const ForwardRates rates, RatesOf(model, options));
    H1_ASSIGN_OR_RETURN(Rehearsal rehearsal,
                        Rehearsal::Create(model.config, model.tokenizer, options, rates));
    VariantPlan variant;
    variant.id = row.id;
    variant.model = row.model_name;
    variant.precision = row.precision;
    variant.file_bytes = model.file_bytes;
    if (!rates.empty())  // every worker does it, on the same cores
      variant.load_seconds =
          model.worker_seconds * static_cast<double>(plan_.workers) +
          static_cast<double>(least.weights) / std::max(1.0, rates.pack_bytes_per_second) +
          rehearsal.probe_seconds();
    std::map<std::int64_t, Leases> leases = LeasesOf(row, model);
    H1_RETURN_IF_ERROR(Rehearse(leases, rehearsal));
    for (const auto& [task, of_task] : leases)
      H1_RETURN_IF_ERROR(AddCell(row, *tasks_.at(task), of_task, variant));
    variant.memory = rehearsal.memory();
    plan_.variants.push_back(std::move(variant));
    return Status::Ok();
  }

  Result<ForwardRates> RatesOf(const LoadedModel& model, const EngineOptions& options) {
    Result<KeptRates> rates =
        FindOrMeasureRates(input_.store, model.config.shape, options, plan_.workers);
    if (rates.ok()) {
      plan_.measuring_seconds += rates->measuring_seconds;
      return rates->rates;
    }
    if (rates.status().code() != StatusCode::kUnavailable) return rates.status();
    rates_everywhere_ = false;
    plan_.no_estimate = rates.status().message();
    return ForwardRates();
  }

  /// Tokens of one answer: as this model gave them before, to the limit for random weights, else
  /// what the task's answers usually have.
  double ExpectedTokens(const VariantRow& row, const RunTaskRow& task, const LoadedModel& model,
                        std::int64_t limit) const {
    if (limit == 0) return 0;
    const auto known = answers_.find({row.model_digest, task.task, limit});
    if (known != answers_.end()) return known->second;
    const auto most = static_cast<double>(limit);
    return model.random_weights ? most
                                : std::min(most, tasks::TypicalAnswerTokens(task.task, most));
  }

  /// By task.
  std::map<std::int64_t, Leases> LeasesOf(const VariantRow& row, const LoadedModel& model) const {
    std::map<std::int64_t, Leases> leases;
    for (const Turn& turn : turns_) {
      if (turn.shard.variant_id != row.id) continue;
      Leases& of_task = leases[SampleOf(turn.shard).run_task_id];
      of_task.all.push_back(&turn);
      of_task.prompt_bytes += turn.shard.prompt_bytes;
    }
    const std::size_t cells = input_.variants.size() * input_.tasks.size();
    for (auto& [task, of_task] : leases) {
      Choose(std::max(kLeastBytesOfACell, kRehearsedBytes / cells), of_task);
      of_task.expected_tokens = ExpectedTokens(row, *tasks_.at(task), model,
                                               MaxNewTokens(SampleOf(of_task.all[0]->shard)));
    }
    return leases;
  }

  /// Worker after worker, each with its leases of all tasks in the order in which it gets them:
  /// those under way together share Forwards and need their memory at the same time.
  Status Rehearse(const std::map<std::int64_t, Leases>& leases, Rehearsal& rehearsal) {
    std::set<const Turn*> chosen;
    for (const auto& [task, of_task] : leases)
      chosen.insert(of_task.rehearsed.begin(), of_task.rehearsed.end());
    for (std::size_t worker = 0; worker < static_cast<std::size_t>(plan_.workers); ++worker) {
      std::vector<const Turn*> turns;
      for (const Turn& turn : turns_)
        if (turn.worker == worker && chosen.contains(&turn)) turns.push_back(&turn);
      Status failed;
      std::size_t at = 0;
      const auto next = [&](bool idle) -> LeaseToCome {
        if (at == turns.size() || !(idle || turns[at]->ahead)) return {};
        const Shard& shard = turns[at++]->shard;
        Result<std::vector<EngineRequest>> requests = RequestsOf(shard);
        if (requests.ok())
          return {std::move(requests).value(),
                  leases.at(SampleOf(shard).run_task_id).expected_tokens};
        failed = requests.status();
        return {};
      };
      H1_ASSIGN_OR_RETURN(const std::vector<Rehearsed> done, rehearsal.Run(next, kMostLeases));
      H1_RETURN_IF_ERROR(failed);
      for (std::size_t i = 0; i < done.size(); ++i) rehearsed_[turns[i]] = done[i];
    }
    return Status::Ok();
  }

  Status AddCell(const VariantRow& row, const RunTaskRow& task, const Leases& leases,
                 VariantPlan& variant) {
    CellPlan cell;
    cell.task_id = task.id;
    cell.task = task.name;
    cell.expected_tokens = leases.expected_tokens;
    Rehearsed sum;
    double cost = 0, rehearsed_cost = 0, sample_cost = 0;
    for (const Turn* turn : leases.rehearsed) {
      const Rehearsed& one = rehearsed_.at(turn);
      if (one.refused.code() == StatusCode::kResourceExhausted) {
        return one.refused.WithContext(fmt::format("not enough memory: {} {}, task {}",
                                                   row.model_name, row.precision, task.name));
      }
      rehearsed_cost += static_cast<double>(turn->shard.cost);
      for (const std::int64_t id : turn->shard.samples)
        sample_cost += static_cast<double>(samples_.at(id)->cost_tokens);
      sum.Add(one);
    }
    for (const Turn* turn : leases.all) {
      const auto of_this = static_cast<double>(turn->shard.cost);
      cost += of_this;
      cell.requests += std::ssize(turn->shard.samples);
      const auto known = rehearsed_.find(turn);
      shard_seconds_[turn->shard.samples.front()] =
          known != rehearsed_.end() ? known->second.seconds.total()
                                    : sum.seconds.total() * of_this / rehearsed_cost;
    }
    FillCell(sum, cost / rehearsed_cost, cell);
    cell.live.prompt_seconds_per_cost = sum.seconds.prompt / sample_cost;
    if (NeedsJudge(task)) judged_ += cell.requests;
    plan_.estimate.cells[{row.id, task.id}] = cell.live;
    variant.cells.push_back(std::move(cell));
    return Status::Ok();
  }

  static void FillCell(const Rehearsed& sum, double all, CellPlan& cell) {
    const auto scaled = [&](std::int64_t part) {
      return static_cast<std::int64_t>(static_cast<double>(part) * all + 0.5);
    };
    cell.prompt_tokens = scaled(sum.prompt_tokens);
    cell.computed_tokens = scaled(sum.computed_tokens);
    cell.generated_tokens = scaled(sum.generated_tokens);
    cell.seconds = sum.seconds.total() * all;
    cell.live.expected_tokens = cell.expected_tokens;
    if (sum.generated_tokens > 0)
      cell.live.seconds_per_token =
          sum.seconds.generated / static_cast<double>(sum.generated_tokens);
  }

  Result<std::vector<EngineRequest>> RequestsOf(const Shard& shard) const {
    std::vector<EngineRequest> requests;
    for (std::size_t i = 0; i < shard.samples.size(); ++i) {
      H1_ASSIGN_OR_RETURN(v1::Request wire, ToWire(SampleOf(shard, i)));
      H1_ASSIGN_OR_RETURN(*wire.mutable_context(), input_.prompt(SampleOf(shard, i)));
      requests.push_back(FromWire(wire, static_cast<std::int64_t>(i)));
    }
    return requests;
  }

  static bool NeedsJudge(const RunTaskRow& task) {
    const Result<Json> describe = ParseJson(task.describe_json);
    return describe.ok() && describe->Find("code") != nullptr;
  }

  double LoadSeconds(std::int64_t variant) const {
    for (const VariantPlan& one : plan_.variants)
      if (one.id == variant) return one.load_seconds;
    return 0;
  }

  /// Hands the shards out as the coordinator will.
  void Simulate() {
    const std::vector<Turn> turns = DealOut(
        shards_, plan_.workers, kStartSeconds,
        [this](const Shard& shard) { return shard_seconds_.at(shard.samples.front()); },
        [this](std::int64_t variant) { return LoadSeconds(variant); });
    double work = 0, end = 0;
    for (const Turn& turn : turns) {
      work += turn.end - turn.begin;
      end = std::max(end, turn.end);
    }
    const bool on_cpu = ResolveEngine(input_.arguments.engine.engine) == "cpu";
    const auto cores = static_cast<double>(std::max(1U, std::thread::hardware_concurrency()));
    const double judging = static_cast<double>(judged_) * kJudgeSeconds / cores;
    RunEstimate& estimate = plan_.estimate;
    estimate.seconds = on_cpu ? end + judging : std::max(end, judging);
    estimate.load_seconds = turns.empty() ? 0 : std::min(turns[0].begin, estimate.seconds);
    const double rest = estimate.seconds - estimate.load_seconds;
    estimate.parallel = rest > 0 && work > 0 ? work / rest : 1;
  }

  const PlanInput& input_;
  RunPlan plan_;
  std::map<std::int64_t, const SampleRow*> samples_;
  std::map<std::int64_t, const RunTaskRow*> tasks_;
  std::vector<Shard> shards_;
  std::vector<Turn> turns_;
  std::map<const Turn*, Rehearsed> rehearsed_;
  std::map<std::int64_t, double> shard_seconds_;  // by first sample
  Store::AnswerLengths answers_;
  std::int64_t judged_ = 0;
  bool rates_everywhere_ = true;
};

}  // namespace

Result<RunPlan> PlanRun(const PlanInput& input) { return Planner(input).Make(); }

}  // namespace h1bench::cli

#include "runner/engine/engine.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <thread>
#include <utility>

#include "runner/engine/collector.h"
#include "runner/engine/generation.h"
#include "runner/engine/memory.h"
#include "runner/engine/plan.h"
#include "runner/engine/prepare.h"
#include "runner/engine/scheduler.h"
#include "runner/engine/self_test.h"

namespace h1bench {
namespace engine {
namespace {

using Time = Listener::Time;
using PlanMemoryFunction = std::function<MemoryPlan(std::int64_t, std::int64_t)>;

void PrepareShare(std::span<const EngineRequest> requests, const Rules& rules,
                  std::atomic<std::size_t>& next, std::vector<Prepared>& prepared) {
  for (std::size_t i = next++; i < requests.size(); i = next++)
    prepared[i] = Prepare(requests[i], rules);
}

/// Tokenises in as many threads as the backend has. Which request met a limit of the tokenizer can
/// only be told in one thread, so in that (never yet seen) case everything is done again in one.
std::vector<Prepared> PrepareOnAllCores(std::span<const EngineRequest> requests, const Rules& rules,
                                        int threads) {
  constexpr std::size_t kRequestsPerThread = 16;
  const std::uint64_t limit_hits = rules.tokenizer == nullptr ? 0 : rules.tokenizer->limit_hits();
  std::vector<Prepared> prepared(requests.size());
  std::atomic<std::size_t> next = 0;
  {
    if (threads < 1) threads = static_cast<int>(std::thread::hardware_concurrency());
    const std::size_t helpers =
        std::min(static_cast<std::size_t>(threads), requests.size() / kRequestsPerThread + 1) - 1;
    std::vector<std::jthread> pool;
    for (std::size_t i = 0; i < helpers; ++i)
      pool.emplace_back([&] { PrepareShare(requests, rules, next, prepared); });
    PrepareShare(requests, rules, next, prepared);
  }
  if (rules.tokenizer != nullptr && rules.tokenizer->limit_hits() != limit_hits) {
    next = 0;
    PrepareShare(requests, rules, next, prepared);
  }
  return prepared;
}

class RealEngine final : public Engine {
 public:
  RealEngine(EngineParts parts, const EngineOptions& options, std::int64_t budget, Clock& clock)
      : parts_(std::move(parts)), options_(options), budget_(budget), clock_(clock) {
    planned_ = parts_.plan_memory(1, options_.max_length);
    fixed_bytes_ = parts_.plan_memory(0, 0).total();
    used_ = parts_.backend->MemoryUsed();
  }

  Status Run(std::span<const EngineRequest> requests,
             const std::function<bool(EngineResponse)>& done) override;

  MemoryPlan planned_memory() const override { return planned_; }
  MemoryPlan used_memory() const override { return used_; }
  EngineStats stats() const override { return stats_; }
  std::string Identity() const override {
    return fmt::format("{}; {}", parts_.backend->Identity(),
                       PrecisionName(parts_.backend->options().precision));
  }
  Result<std::string> Probe() override {
    EngineOptions options = options_;
    options.memory_bytes = budget_;
    EngineMemory memory;
    Result<std::string> digest = ProbeEngine(parts_, options, clock_, memory);
    const std::int64_t bytes = memory.planned.kv + memory.planned.state;
    if (bytes > peak_slot_bytes_) {
      peak_slot_bytes_ = bytes;
      planned_ = memory.planned;
    }
    if (memory.used.total() > used_.total()) used_ = memory.used;
    return digest;
  }

 private:
  /// What one way through the requests has to work with.
  struct Pass {
    std::span<const EngineRequest> requests;
    std::int64_t slot_bytes;     // for all sequences together
    std::int64_t longest_bytes;  // what the longest alone needs; set by the pass
  };
  Status RunPass(Pass& pass, Time start, const Collector::Done& done);
  std::vector<Prepared> PrepareAll(std::span<const EngineRequest> requests);
  void CheckFits(Prepared& prepared) const;
  void NotePlan(const Plan& plan, std::int64_t peak_slot_bytes);

  std::int64_t SlotBytes(std::int64_t tokens) const {
    const MemoryPlan plan = parts_.plan_memory(1, tokens);
    return plan.kv + plan.state;
  }

  EngineParts parts_;
  EngineOptions options_;
  std::int64_t budget_;           // bytes for everything
  std::int64_t fixed_bytes_ = 0;  // without slots
  std::int64_t peak_slot_bytes_ = 0;
  Clock& clock_;
  MemoryPlan planned_, used_;
  EngineStats stats_;
};

std::vector<Prepared> RealEngine::PrepareAll(std::span<const EngineRequest> requests) {
  Rules rules;
  rules.tokenizer = parts_.tokenizer.get();
  rules.max_length = options_.max_length;
  rules.vocab = parts_.backend->shape().vocab;
  rules.bos_id = parts_.bos_id;
  rules.prefix_id = parts_.bos_id;
  if (!rules.prefix_id && !parts_.eos_ids.empty()) rules.prefix_id = parts_.eos_ids.front();
  std::vector<Prepared> prepared =
      PrepareOnAllCores(requests, rules, parts_.backend->options().threads);
  for (Prepared& one : prepared)
    if (one.status.ok()) CheckFits(one);
  return prepared;
}

/// One sequence alone must fit, else nothing would ever start it.
void RealEngine::CheckFits(Prepared& prepared) const {
  for (const Sequence& sequence : prepared.sequences) {
    const std::int64_t tokens =
        static_cast<std::int64_t>(sequence.input.size()) + sequence.new_tokens;
    const std::int64_t bytes = fixed_bytes_ + SlotBytes(tokens);
    if (bytes <= budget_) continue;
    prepared.status = ResourceExhausted(
        "a sequence of {} tokens needs {} MiB with the model, the memory budget is {} MiB; raise "
        "--memory or lower max_length",
        tokens, (bytes >> 20) + 1, budget_ >> 20);
    return;
  }
}

Status RealEngine::Run(std::span<const EngineRequest> requests,
                       const std::function<bool(EngineResponse)>& done) {
  const Time start = clock_.Steady();
  std::vector<bool> answered(requests.size(), false);
  std::vector<std::size_t> place(requests.size());  // of what is being run, in `requests`
  std::iota(place.begin(), place.end(), std::size_t{0});
  std::vector<EngineRequest> left;  // what a pass after the first runs
  const Collector::Done answer = [&](std::size_t index, EngineResponse response) {
    answered[place[index]] = true;
    return done(std::move(response));
  };
  Pass pass{requests, budget_ - fixed_bytes_, 0};
  for (;;) {
    const Status status = RunPass(pass, start, answer);
    if (status.code() != StatusCode::kResourceExhausted) return status;
    ++stats_.out_of_memory;
    if (pass.slot_bytes <= pass.longest_bytes) return status;
    pass.slot_bytes = std::max(pass.longest_bytes, pass.slot_bytes / 2);
    left.clear(), place.clear();
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (answered[i]) continue;
      place.push_back(i);
      left.push_back(requests[i]);
    }
    pass.requests = left;
  }
}

/// One way through: kResourceExhausted leaves no slot behind.
Status RealEngine::RunPass(Pass& pass, Time start, const Collector::Done& done) {
  const std::span<const EngineRequest> requests = pass.requests;
  const Time prepare = clock_.Steady();
  const std::vector<Prepared> prepared = PrepareAll(requests);
  stats_.tokenize_seconds += std::chrono::duration<double>(clock_.Steady() - prepare).count();
  const auto slot_bytes = [this](std::int64_t tokens) { return SlotBytes(tokens); };
  PlanOptions plan_options;
  plan_options.share = options_.prefix_reuse;
  plan_options.slot_bytes_limit = pass.slot_bytes;
  plan_options.slot_bytes = slot_bytes;
  const Plan plan = BuildPlan(prepared, plan_options);
  stats_.sequence_tokens += plan.sequence_tokens;
  pass.longest_bytes = 0;
  for (const Node& node : plan.nodes)
    pass.longest_bytes = std::max(pass.longest_bytes, SlotBytes(node.max_tokens));

  std::vector<Generation> generations;
  generations.reserve(requests.size());
  for (const EngineRequest& request : requests)
    generations.emplace_back(request, parts_.tokenizer.get(), parts_.eos_ids);
  Collector collector(requests, prepared, plan, start, done, options_.on_forward);
  for (std::size_t i = 0; i < requests.size(); ++i)
    if (!prepared[i].status.ok()) collector.Refuse(i, prepared[i].status);

  const SchedulerLimits limits{options_.max_batch, options_.prefill_chunk, pass.slot_bytes,
                               slot_bytes};
  Scheduler scheduler(*parts_.backend, clock_, limits, plan, generations, collector, stats_);
  Status status;
  while (status.ok() && !scheduler.done() && !collector.cancelled()) {
    status = scheduler.Step();
    const MemoryPlan now = parts_.backend->MemoryUsed();
    if (now.total() > used_.total()) used_ = now;
  }
  NotePlan(plan, scheduler.peak_slot_bytes());
  if (status.ok() && collector.cancelled())
    return {StatusCode::kCancelled, "engine: stopped by the caller"};
  return status;
}

/// Splits the most that was reserved as the plan's arithmetic does.
void RealEngine::NotePlan(const Plan& plan, std::int64_t peak_slot_bytes) {
  if (peak_slot_bytes <= peak_slot_bytes_) return;
  peak_slot_bytes_ = peak_slot_bytes;
  std::int64_t longest = 1;
  for (const Node& node : plan.nodes) longest = std::max(longest, node.max_tokens);
  const MemoryPlan one = parts_.plan_memory(1, longest);
  planned_ = parts_.plan_memory(0, 0);
  // State is the same for every slot, so the number of slots gives its share; the rest is KV.
  planned_.state = std::min(peak_slot_bytes, one.state * stats_.peak_slots);
  planned_.kv = peak_slot_bytes - planned_.state;
}

Status CheckOptions(const EngineOptions& options, const ModelShape& shape) {
  if (options.max_length < 2 || options.max_length > shape.max_positions)
    return InvalidArgument(
        "max_length is {}, expected 2 to {} (the model's max_position_embeddings)",
        options.max_length, shape.max_positions);
  if (options.max_batch < 1 || options.prefill_chunk < 1 || options.memory_bytes < 0)
    return InvalidArgument(
        "engine options: max_batch {} and prefill_chunk {} must be positive, memory_bytes {} not "
        "negative",
        options.max_batch, options.prefill_chunk, options.memory_bytes);
  return Status::Ok();
}

/// 80 % of what is free before the model is there.
Result<std::int64_t> Budget(const EngineOptions& options, Device device,
                            std::int64_t already_used) {
  if (options.memory_bytes > 0) return options.memory_bytes;
  H1_ASSIGN_OR_RETURN(const std::optional<std::int64_t> own, FreeDeviceMemory(device));
  return already_used + own.value_or(FreeMemoryBytes()) / 10 * 8;
}

Status CheckBudget(std::int64_t budget, const PlanMemoryFunction& plan_memory) {
  const MemoryPlan least = plan_memory(1, 2);
  if (least.total() <= budget) return Status::Ok();
  return ResourceExhausted(
      "the model needs {} MiB (weights {}, workspace {}, one short sequence {}), the memory budget "
      "is "
      "{} MiB; raise --memory, or take a smaller model or precision",
      (least.total() >> 20) + 1, least.weights >> 20, (least.workspace + least.context) >> 20,
      (least.kv + least.state) >> 20, budget >> 20);
}

}  // namespace
}  // namespace engine

const char* PhaseName(Phase phase) {
  return phase == Phase::kPrefill ? "prefill" : phase == Phase::kDecode ? "decode" : "mixed";
}

Result<std::unique_ptr<Engine>> Engine::CreateWith(EngineParts parts, const EngineOptions& options,
                                                   Clock& clock) {
  EngineOptions resolved = options;
  const ModelShape& shape = parts.backend->shape();
  if (resolved.max_length == 0) resolved.max_length = shape.max_positions;
  H1_RETURN_IF_ERROR(engine::CheckOptions(resolved, shape));
  if (!parts.plan_memory)
    parts.plan_memory = [shape, backend = parts.backend->options()](std::int64_t slots,
                                                                    std::int64_t tokens) {
      return PlanMemory(shape, backend, slots, tokens);
    };
  H1_ASSIGN_OR_RETURN(const std::int64_t budget,
                      engine::Budget(options, parts.backend->options().device,
                                     parts.backend->MemoryUsed().total()));
  H1_RETURN_IF_ERROR(engine::CheckBudget(budget, parts.plan_memory));
  return std::unique_ptr<Engine>(
      std::make_unique<engine::RealEngine>(std::move(parts), resolved, budget, clock));
}

Result<std::unique_ptr<Engine>> Engine::Create(std::shared_ptr<const Checkpoint> checkpoint,
                                               std::shared_ptr<const Tokenizer> tokenizer,
                                               const EngineOptions& options, Clock& clock) {
  const ModelConfig& config = checkpoint->config();
  EngineOptions resolved = options;
  if (resolved.max_length == 0) resolved.max_length = config.shape.max_positions;
  H1_RETURN_IF_ERROR(engine::CheckOptions(resolved, config.shape));
  H1_ASSIGN_OR_RETURN(resolved.memory_bytes, engine::Budget(options, options.backend.device, 0));
  H1_RETURN_IF_ERROR(
      engine::CheckBudget(resolved.memory_bytes, [&](std::int64_t slots, std::int64_t tokens) {
        return PlanMemory(config.shape, options.backend, slots, tokens);
      }));
  H1_ASSIGN_OR_RETURN(std::unique_ptr<Backend> backend,
                      CreateBackend(config.shape, checkpoint->weights(), options.backend));
  EngineParts parts;
  parts.backend = std::move(backend);
  parts.tokenizer = std::move(tokenizer);
  parts.eos_ids = config.eos_ids;
  parts.bos_id = config.bos_id;
  return CreateWith(std::move(parts), resolved, clock);
}

}  // namespace h1bench

#include "runner/engine/engine.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "runner/engine/batch.h"
#include "runner/engine/memory.h"
#include "runner/engine/self_test.h"
#include "runner/engine/session.h"

namespace h1bench {
namespace engine {
namespace {

using PlanMemoryFunction = std::function<MemoryPlan(std::int64_t, std::int64_t)>;

class RealEngine final : public Engine {
 public:
  RealEngine(EngineParts parts, const EngineOptions& options, std::int64_t budget, Clock& clock)
      : parts_(std::move(parts)), options_(options), budget_(budget), clock_(clock) {
    planned_ = parts_.plan_memory(1, options_.max_length);
    fixed_bytes_ = parts_.plan_memory(0, 0).total();
    used_ = parts_.backend->MemoryUsed();
  }

  std::unique_ptr<EngineBatch> Prepare(std::vector<EngineRequest> requests, int threads) override;
  Status Serve(const WorkSource& source) override;

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
  Rules MakeRules() const;
  void CheckFits(Prepared& prepared) const;
  void NotePlan(std::int64_t longest, std::int64_t peak_slot_bytes);

  std::int64_t SlotBytes(std::int64_t tokens) const {
    const MemoryPlan plan = parts_.plan_memory(1, tokens);
    return plan.kv + plan.state;
  }

  EngineParts parts_;
  EngineOptions options_;
  std::int64_t budget_;           // bytes for everything
  std::int64_t fixed_bytes_ = 0;  // without slots
  std::int64_t peak_slot_bytes_ = 0;
  std::mutex preparing_;
  Clock& clock_;
  MemoryPlan planned_, used_;
  EngineStats stats_;
};

Rules RealEngine::MakeRules() const {
  Rules rules;
  rules.tokenizer = parts_.tokenizer.get();
  rules.max_length = options_.max_length;
  rules.vocab = parts_.backend->shape().vocab;
  rules.bos_id = parts_.bos_id;
  rules.prefix_id = parts_.bos_id;
  if (!rules.prefix_id && !parts_.eos_ids.empty()) rules.prefix_id = parts_.eos_ids.front();
  return rules;
}

std::unique_ptr<EngineBatch> RealEngine::Prepare(std::vector<EngineRequest> requests, int threads) {
  const std::lock_guard lock(preparing_);
  const Listener::Time start = clock_.Steady();
  auto batch = std::make_unique<Batch>();
  if (threads < 1) threads = parts_.backend->options().threads;
  batch->prepared = PrepareAll(requests, MakeRules(), threads);
  for (Prepared& one : batch->prepared)
    if (one.status.ok()) CheckFits(one);
  for (EngineRequest& request : requests) {
    std::string().swap(request.context);
    std::vector<std::int32_t>().swap(request.context_ids);
  }
  batch->requests = std::move(requests);
  batch->slot_bytes_limit = budget_ - fixed_bytes_;
  const auto slot_bytes = [this](std::int64_t tokens) { return SlotBytes(tokens); };
  batch->plan =
      BuildPlan(batch->prepared, PlanOptionsFor(options_, batch->slot_bytes_limit, slot_bytes));
  batch->seconds = std::chrono::duration<double>(clock_.Steady() - start).count();
  return batch;
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

Status RealEngine::Serve(const WorkSource& source) {
  const auto slot_bytes = [this](std::int64_t tokens) { return SlotBytes(tokens); };
  Session session({parts_, options_, clock_, stats_, used_, budget_ - fixed_bytes_, slot_bytes});
  const Status status = session.Run(source);
  NotePlan(session.longest(), session.peak_slot_bytes());
  return status;
}

/// Splits the most that was reserved as the plan's arithmetic does. `longest`: tokens of the
/// longest sequence.
void RealEngine::NotePlan(std::int64_t longest, std::int64_t peak_slot_bytes) {
  if (peak_slot_bytes <= peak_slot_bytes_) return;
  peak_slot_bytes_ = peak_slot_bytes;
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

Status Engine::Run(std::span<const EngineRequest> requests,
                   const std::function<bool(EngineResponse)>& done) {
  bool stopped = false;
  EngineWork work{Prepare({requests.begin(), requests.end()}, 0), [&](EngineResponse response) {
                    stopped = !done(std::move(response)) || stopped;
                    return !stopped;
                  }};
  H1_RETURN_IF_ERROR(Serve([&](bool) { return std::exchange(work, {}); }));
  if (!stopped) return Status::Ok();
  return {StatusCode::kCancelled, "engine: stopped by the caller"};
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

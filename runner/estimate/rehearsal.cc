#include "runner/estimate/rehearsal.h"

#include <deque>
#include <utility>

namespace h1bench {

void Rehearsed::Add(const Rehearsed& other) {
  seconds.prompt += other.seconds.prompt;
  seconds.generated += other.seconds.generated;
  prompt_tokens += other.prompt_tokens;
  computed_tokens += other.computed_tokens;
  generated_tokens += other.generated_tokens;
  if (refused.ok()) refused = other.refused;
}

Result<Rehearsal> Rehearsal::Create(const ModelConfig& config,
                                    std::shared_ptr<const Tokenizer> tokenizer,
                                    const EngineOptions& options, const ForwardRates& rates) {
  Rehearsal out;
  // Every worker probes the model that it has loaded: time, and often the most memory. With endless
  // answers: the backend takes the last step of a prompt in steps for a generated one.
  out.backend_ = std::make_shared<CountingBackend>(config.shape, options.backend, rates, 1e6);
  EngineParts parts;
  parts.backend = out.backend_;
  parts.tokenizer = std::move(tokenizer);
  parts.eos_ids = {CountingBackend::kEnd};
  parts.bos_id = config.bos_id;
  if (!parts.bos_id && !config.eos_ids.empty()) parts.bos_id = config.eos_ids.front();
  parts.plan_memory = [shape = config.shape, backend = options.backend](std::int64_t slots,
                                                                        std::int64_t tokens) {
    return PlanMemory(shape, backend, slots, tokens);
  };
  H1_ASSIGN_OR_RETURN(out.engine_, Engine::CreateWith(std::move(parts), options));
  H1_RETURN_IF_ERROR(out.engine_->Probe().status());
  return out;
}

Result<std::vector<Rehearsed>> Rehearsal::Run(const NextLease& next, std::size_t most) {
  const std::size_t accounts_before = backend_->accounts().size();
  std::deque<Rehearsed> leases;  // whose places stay
  std::size_t under_way = 0;
  H1_RETURN_IF_ERROR(engine_->Serve([&](bool idle) -> EngineWork {
    if (under_way >= most) return {};
    LeaseToCome lease = next(idle);
    if (lease.requests.empty()) return {};
    for (EngineRequest& request : lease.requests) {  // what changes answers but not the work
      request.stops.clear();
      request.temperature = 0;
      request.bf16_softmax = false;
    }
    ++under_way;
    // The engine takes a lease up only when every sequence of those before has its slot, or forks
    // it: what is allocated from now on is this one's.
    backend_->Open(lease.expected_tokens);
    const auto done = [&under_way, &out = leases.emplace_back(),
                       left = lease.requests.size()](const EngineResponse& response) mutable {
      out.prompt_tokens += response.prompt_tokens;
      out.generated_tokens += response.generated_tokens;
      if (out.refused.ok()) out.refused = response.status;
      if (--left == 0) --under_way;
      return true;
    };
    return {engine_->Prepare(std::move(lease.requests), 0), done};
  }));
  for (std::size_t i = 0; i < leases.size(); ++i) {
    const CountingBackend::Account& account = backend_->accounts()[accounts_before + i];
    leases[i].seconds = account.seconds;
    leases[i].computed_tokens = account.prompt_tokens;
  }
  return std::vector<Rehearsed>(leases.begin(), leases.end());
}

}  // namespace h1bench

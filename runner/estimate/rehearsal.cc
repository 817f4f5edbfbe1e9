#include "runner/estimate/rehearsal.h"

#include <deque>
#include <utility>
#include <vector>

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
  out.backend_ = std::make_shared<CountingBackend>(config.shape, options.backend, rates);
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
  // Every worker probes the model that it has loaded: time, and often the most memory.
  // Endless answers: this backend takes the last step of a prompt in steps for a generated one.
  out.backend_->set_expected_tokens(1e6);
  H1_RETURN_IF_ERROR(out.engine_->Probe().status());
  out.probe_seconds_ = out.backend_->seconds().total();
  return out;
}

Result<std::vector<Rehearsed>> Rehearsal::Run(const NextBatch& next, double expected_tokens) {
  backend_->set_expected_tokens(expected_tokens);
  std::deque<Rehearsed> batches;  // whose places stay
  ForwardSeconds before = backend_->seconds();
  std::int64_t computed = backend_->prompt_tokens();
  H1_RETURN_IF_ERROR(engine_->Serve([&](bool) -> EngineWork {
    std::vector<EngineRequest> requests = next();
    if (requests.empty()) return {};
    for (EngineRequest& request : requests) {  // what changes answers but not the work
      request.stops.clear();
      request.temperature = 0;
      request.bf16_softmax = false;
    }
    Rehearsed& out = batches.emplace_back();
    const auto done = [&, left = requests.size()](const EngineResponse& response) mutable {
      out.prompt_tokens += response.prompt_tokens;
      out.generated_tokens += response.generated_tokens;
      if (out.refused.ok()) out.refused = response.status;
      if (--left > 0) return true;
      // What was computed since the last one ended is this one's.
      out.seconds.prompt = backend_->seconds().prompt - before.prompt;
      out.seconds.generated = backend_->seconds().generated - before.generated;
      out.computed_tokens = backend_->prompt_tokens() - computed;
      before = backend_->seconds();
      computed = backend_->prompt_tokens();
      return true;
    };
    return {engine_->Prepare(std::move(requests), 0), done};
  }));
  return std::vector<Rehearsed>(batches.begin(), batches.end());
}

Result<Rehearsed> Rehearsal::Run(std::span<const EngineRequest> requests, double expected_tokens) {
  std::vector<EngineRequest> once(requests.begin(), requests.end());
  H1_ASSIGN_OR_RETURN(const std::vector<Rehearsed> batches,
                      Run([&] { return std::exchange(once, {}); }, expected_tokens));
  return batches.empty() ? Rehearsed() : batches.front();
}

}  // namespace h1bench

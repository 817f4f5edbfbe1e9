#include "runner/estimate/rehearsal.h"

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

Result<Rehearsed> Rehearsal::Run(std::span<const EngineRequest> requests, double expected_tokens) {
  std::vector<EngineRequest> asked(requests.begin(), requests.end());
  for (EngineRequest& request : asked) {  // what changes answers but not the work
    request.stops.clear();
    request.temperature = 0;
    request.bf16_softmax = false;
  }
  backend_->set_expected_tokens(expected_tokens);
  const ForwardSeconds before = backend_->seconds();
  const std::int64_t computed = backend_->prompt_tokens();
  Rehearsed out;
  H1_RETURN_IF_ERROR(engine_->Run(asked, [&](const EngineResponse& response) {
    out.prompt_tokens += response.prompt_tokens;
    out.generated_tokens += response.generated_tokens;
    if (out.refused.ok()) out.refused = response.status;
    return true;
  }));
  out.seconds.prompt = backend_->seconds().prompt - before.prompt;
  out.seconds.generated = backend_->seconds().generated - before.generated;
  out.computed_tokens = backend_->prompt_tokens() - computed;
  return out;
}

}  // namespace h1bench

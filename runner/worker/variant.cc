#include <cmath>
#include <limits>

#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/stamp.h"
#include "runner/tokenizer/tokenizer.h"
#include "runner/worker/identity.h"
#include "runner/worker/worker.h"

namespace h1bench {

Result<EngineOptions> OptionsForVariant(EngineOptions options, const std::string& engine,
                                        const std::string& precision, std::int64_t max_length) {
  options.max_length = max_length;
  H1_ASSIGN_OR_RETURN(options.backend.device, ParseDevice(engine));
  if (options.backend.device == Device::kCuda) {  // enough rows to fill a GPU
    options.backend.max_batch_tokens = 16384;
    options.backend.max_batch_rows = 4096;
    options.prefill_chunk = options.backend.max_batch_tokens;
  }
  H1_ASSIGN_OR_RETURN(options.backend.precision, ParsePrecision(precision));
  return options;
}

Result<std::unique_ptr<Engine>> LoadVariant(const v1::Variant& variant,
                                            const WorkerOptions& options) {
  H1_ASSIGN_OR_RETURN(const std::string identity, EngineIdentity(options.engine));
  if (identity != variant.identity()) {
    return FailedPrecondition("the run was planned for the engine \"{}\", this is \"{}\"",
                              variant.identity(), identity);
  }
  if (options.engine == "null") return MakeNullEngine(options.null_engine);
  const std::string stamp = FolderStamp(variant.path());
  H1_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(variant.path()));
  const auto known = options.checked.find(stamp);
  const bool checked = known != options.checked.end() && FolderStamp(variant.path()) == stamp;
  H1_ASSIGN_OR_RETURN(const std::string digest,
                      checked ? Result<std::string>(known->second) : checkpoint.Digest());
  if (digest != variant.model_digest()) {
    return FailedPrecondition("{}: the files changed since the run was planned (digest {}, was {})",
                              variant.path(), digest, variant.model_digest());
  }
  H1_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Open(variant.path()));
  H1_ASSIGN_OR_RETURN(const EngineOptions engine_options,
                      OptionsForVariant(options.engine_options, options.engine, variant.precision(),
                                        variant.max_length()));
  return Engine::Create(std::make_shared<const Checkpoint>(std::move(checkpoint)),
                        std::make_shared<const Tokenizer>(std::move(tokenizer)), engine_options);
}

EngineRequest FromWire(const v1::Request& request, std::int64_t tag) {
  EngineRequest out;
  out.tag = tag;
  out.context = request.context();
  out.continuations.assign(request.continuations().begin(), request.continuations().end());
  out.stops.assign(request.stops().begin(), request.stops().end());
  out.max_new_tokens = request.max_new_tokens();
  out.temperature = request.temperature();
  out.top_p = request.top_p();
  out.sampling_key = request.sampling_key();
  out.add_bos = request.add_bos();
  out.bf16_softmax = request.bf16_softmax();
  return out;
}

v1::Response ToWire(const v1::Request& request, const EngineResponse& response) {
  v1::Response out;
  out.set_key(request.key());
  out.set_sample_id(request.sample_id());
  if (!response.status.ok()) out.set_error(response.status.message());
  out.set_text(response.text);
  for (const double value : response.loglikelihoods) {
    out.add_loglikelihoods(value);
    // No score comes of these, and the coordinator refuses them.
    if (std::isnan(value) || value > std::numeric_limits<double>::max())
      out.set_error(fmt::format("the model gave a log-likelihood of {}", value));
  }
  for (const bool flag : response.is_greedy) out.add_is_greedy(flag);
  out.set_prompt_tokens(response.prompt_tokens);
  out.set_generated_tokens(response.generated_tokens);
  out.set_truncated_tokens(response.truncated_tokens);
  out.set_reused_tokens(response.reused_tokens);
  for (const std::int32_t id : response.first_ids)
    out.add_first_ids(static_cast<std::uint32_t>(id));
  for (const std::int32_t id : response.last_ids) out.add_last_ids(static_cast<std::uint32_t>(id));
  out.set_finish(response.finish);
  out.set_queue_seconds(response.queue_seconds);
  out.set_prefill_seconds(response.prefill_seconds);
  out.set_decode_seconds(response.decode_seconds);
  for (const std::int32_t us : response.inter_token_us)
    out.add_inter_token_us(static_cast<std::uint32_t>(us));
  return out;
}

}  // namespace h1bench

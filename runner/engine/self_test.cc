#include "runner/engine/self_test.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

#include "base/sha256.h"
#include "runner/checkpoint/synthesize.h"

namespace h1bench {
namespace {

constexpr std::int64_t kSharedIds = 24;    // in front of every known prompt
constexpr std::int64_t kLongestTail = 40;  // crosses two chunk boundaries
constexpr double kFp32Bound = 1e-4, kBf16Bound = 0.25, kBf16RootMeanSquare = 0.02,
                 kBf16FewProbes = 0.03;

/// An id below `vocab` from (stream, place): SplitMix64's output function, well mixed and the same
/// everywhere.
std::int32_t ProbeId(std::int64_t stream, std::int64_t place, std::int64_t vocab) {
  std::uint64_t x = static_cast<std::uint64_t>(stream) * 0x9E3779B97F4A7C15U +
                    static_cast<std::uint64_t>(place + 1) * 0xD1342543DE82EF95U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return static_cast<std::int32_t>((x ^ (x >> 31)) % static_cast<std::uint64_t>(vocab));
}

/// `shared` ids that all streams have, then `tail` of this stream's own.
std::vector<std::int32_t> ProbeIds(std::int64_t stream, std::int64_t shared, std::int64_t tail,
                                   std::int64_t vocab) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < shared; ++i) ids.push_back(ProbeId(0, i, vocab));
  for (std::int64_t i = 0; i < tail; ++i) ids.push_back(ProbeId(stream, i, vocab));
  return ids;
}

/// A generation of two tokens (even tag) and a scoring of two ids (odd tag) of one prompt.
void AddPair(std::vector<EngineRequest>& requests, std::vector<std::int32_t> prompt,
             std::vector<std::int32_t> continuation) {
  EngineRequest generate;
  generate.tag = static_cast<std::int64_t>(requests.size());
  generate.context_ids = prompt;
  generate.max_new_tokens = 2;
  generate.ignore_eos = true;
  requests.push_back(generate);
  EngineRequest score;
  score.tag = generate.tag + 1;
  score.context_ids = std::move(prompt);
  score.continuation_ids = {std::move(continuation)};
  requests.push_back(std::move(score));
}

Result<std::vector<EngineResponse>> Answer(const EngineParts& parts, const EngineOptions& options,
                                           const std::vector<EngineRequest>& requests, Clock& clock,
                                           EngineMemory* memory = nullptr) {
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine,
                      Engine::CreateWith(parts, options, clock));
  std::vector<EngineResponse> responses;
  H1_RETURN_IF_ERROR(engine->Run(requests, [&](EngineResponse response) {
    responses.push_back(std::move(response));
    return true;
  }));
  if (memory != nullptr) *memory = {engine->planned_memory(), engine->used_memory()};
  std::ranges::sort(responses, {}, &EngineResponse::tag);
  if (responses.size() != requests.size())
    return Internal("{} answers to {} probes", responses.size(), requests.size());
  return responses;
}

void Feed(Sha256& digest, std::uint64_t value) { digest.UpdateField(std::to_string(value)); }

std::string BitsOf(const EngineResponse& response) {
  Sha256 digest;
  Feed(digest, static_cast<std::uint64_t>(response.tag));
  digest.UpdateField(response.status.message());  // a model may give numbers that are not finite
  for (const std::int32_t id : response.generated_ids) Feed(digest, static_cast<std::uint32_t>(id));
  for (const double sum : response.loglikelihoods) Feed(digest, std::bit_cast<std::uint64_t>(sum));
  for (const bool greedy : response.is_greedy) Feed(digest, greedy ? 1 : 0);
  return digest.FinishHex();
}

Status CheckTokens(std::size_t probe, const EngineResponse& response, const KnownAnswer& answer) {
  H1_RETURN_IF_ERROR(response.status);
  for (std::size_t i = 0; i < answer.tokens.size(); ++i) {
    if (i < response.generated_ids.size() && response.generated_ids[i] == answer.tokens[i])
      continue;
    return FailedPrecondition(
        "probe {}: token {} is {}, expected {}", probe, i,
        i < response.generated_ids.size() ? std::to_string(response.generated_ids[i]) : "missing",
        answer.tokens[i]);
  }
  return Status::Ok();
}

}  // namespace

ModelShape SelfTestShape() {
  ModelShape s;
  s.vocab = 512, s.hidden = 128, s.intermediate = 192, s.layers = 2;
  s.heads = 4, s.kv_heads = 2, s.head_dim = 64;
  s.ssm_inner = 256, s.ssm_heads = 4, s.ssm_head_dim = 64, s.ssm_groups = 2, s.ssm_state = 64;
  s.conv_taps = 4, s.chunk = 32, s.max_positions = 256;
  s.gated_norm = true;
  s.embedding_multiplier = 2.5F, s.lm_head_multiplier = 0.5F;
  s.attention_in_multiplier = 1.25F, s.attention_out_multiplier = 0.75F, s.key_multiplier = 0.5F;
  s.ssm_in_multiplier = 1.5F, s.ssm_out_multiplier = 0.6F;
  s.ssm_multipliers = {0.35F, 0.25F, 0.4F, 0.5F, 0.9F};
  s.mlp_multipliers = {0.9F, 0.6F};
  return s;
}

std::vector<EngineRequest> KnownRequests(std::span<const KnownAnswer> answers) {
  const std::int64_t vocab = SelfTestShape().vocab;
  std::vector<EngineRequest> requests;
  for (const KnownAnswer& answer : answers) {
    AddPair(requests, ProbeIds(answer.seed, kSharedIds, 1 + answer.seed % kLongestTail, vocab),
            {ProbeId(answer.seed, 1000, vocab), ProbeId(answer.seed, 1001, vocab)});
  }
  return requests;
}

Status CheckKnownAnswers(const std::shared_ptr<Backend>& backend, std::size_t count) {
  const std::span<const KnownAnswer> answers =
      KnownAnswers().first(std::min(count, KnownAnswers().size()));
  EngineParts parts;
  parts.backend = backend;
  H1_ASSIGN_OR_RETURN(const std::vector<EngineResponse> responses,
                      Answer(parts, {}, KnownRequests(answers), Clock::Real()));
  const bool fp32 = backend->options().precision == Precision::kFp32;
  const double bound = fp32 ? kFp32Bound : kBf16Bound;
  double squares = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    H1_RETURN_IF_ERROR(CheckTokens(i, responses[2 * i], answers[i]));
    const EngineResponse& scored = responses[2 * i + 1];
    H1_RETURN_IF_ERROR(scored.status);
    const double difference = scored.loglikelihoods.at(0) - answers[i].loglikelihood;
    if (!(std::abs(difference) <= bound)) {
      return FailedPrecondition("probe {}: the log-likelihood is {}, expected {} within {}", i,
                                scored.loglikelihoods[0], answers[i].loglikelihood, bound);
    }
    squares += difference * difference;
  }
  const double rms = std::sqrt(squares / static_cast<double>(answers.size()));
  const double most =
      answers.size() == KnownAnswers().size() ? kBf16RootMeanSquare : kBf16FewProbes;
  if (!fp32 && rms > most) {
    return FailedPrecondition(
        "the log-likelihoods are off by {:.3f} (root mean square of {} probes), expected at most "
        "{}",
        rms, answers.size(), most);
  }
  return Status::Ok();
}

Status SelfTest(Device device, int threads, std::size_t count) {
  H1_ASSIGN_OR_RETURN(const SyntheticModel model,
                      SynthesizeInMemory(SelfTestShape(), kSelfTestWeights));
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    BackendOptions options;
    options.device = device;
    options.precision = precision;
    options.threads = threads;
    options.max_batch_tokens = 1024;
    options.max_batch_rows = 256;
    const auto test = [&]() -> Status {
      H1_ASSIGN_OR_RETURN(std::unique_ptr<Backend> backend,
                          CreateBackend(model.shape, model.weights, options));
      return CheckKnownAnswers(std::move(backend), count);
    };
    if (const Status status = test(); !status.ok()) {
      return {status.code(), fmt::format("engine self-test on {} at {}: {}", DeviceName(device),
                                         PrecisionName(precision), status.message())};
    }
  }
  return Status::Ok();
}

Result<std::string> ProbeEngine(const EngineParts& parts, const EngineOptions& options,
                                Clock& clock, EngineMemory& memory) {
  // A kept prefix must save 64 tokens: 8 of 12 sequences do.
  constexpr std::int64_t kProbes = 6, kShared = 8, kNew = 2;
  const std::int64_t vocab = parts.backend->shape().vocab;
  // Contexts may be as short as a test likes.
  const std::int64_t room = std::max<std::int64_t>(1, options.max_length - kNew - kShared);
  std::vector<EngineRequest> requests;
  for (std::int64_t i = 0; i < kProbes; ++i) {
    AddPair(requests, ProbeIds(i + 1, std::min(kShared, room), std::min(i + 1, room), vocab),
            {ProbeId(i + 1, 1000, vocab), ProbeId(i + 1, 1001, vocab)});
  }
  EngineOptions way = options;
  way.max_batch = std::max(options.max_batch, 2 * kProbes);
  way.prefix_reuse = true;
  H1_ASSIGN_OR_RETURN(const std::vector<EngineResponse> together,
                      Answer(parts, way, requests, clock, &memory));
  way.max_batch = 1;
  way.prefix_reuse = false;
  std::vector<EngineResponse> alone;
  for (const EngineRequest& request : requests) {
    H1_ASSIGN_OR_RETURN(std::vector<EngineResponse> one, Answer(parts, way, {request}, clock));
    alone.push_back(std::move(one[0]));
  }
  way.prefill_chunk = 1;
  H1_ASSIGN_OR_RETURN(const std::vector<EngineResponse> stepwise,
                      Answer(parts, way, {requests[0], requests[1]}, clock));
  Sha256 digest;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const std::string bits = BitsOf(together[i]);
    digest.UpdateField(bits);
    const bool as_alone = BitsOf(alone[i]) == bits;
    if (as_alone && (i > 1 || BitsOf(stepwise[i]) == bits)) continue;
    return FailedPrecondition(
        "engine self-test: the {} of probe {} has other bits in a batch than {}; a kernel computes "
        "wrongly here",
        i % 2 == 0 ? "generation" : "score", i / 2, as_alone ? "token by token" : "alone");
  }
  return digest.FinishHex();
}

}  // namespace h1bench

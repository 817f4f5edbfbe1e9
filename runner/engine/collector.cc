#include "runner/engine/collector.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "runner/engine/bf16_softmax.h"

namespace h1bench::engine {
namespace {

double Seconds(Listener::Time from, Listener::Time to) {
  return std::chrono::duration<double>(to - from).count();
}

std::int32_t Microseconds(Listener::Time from, Listener::Time to) {
  const std::int64_t count =
      std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
  return static_cast<std::int32_t>(
      std::clamp<std::int64_t>(count, 0, std::numeric_limits<std::int32_t>::max()));
}

/// No number is better than a wrong one.
Status NotFinite() {
  return Corrupt(
      "the model's logits are not finite: its weights are damaged or overflow in this precision; "
      "check the files' digest, or try --precision fp32");
}

}  // namespace

Collector::Collector(std::span<const EngineRequest> requests, std::span<const Prepared> prepared,
                     const Plan& plan, Time start, const Done& done)
    : requests_(requests), start_(start), done_(done), entries_(requests.size()) {
  for (std::size_t i = 0; i < requests.size(); ++i)
    if (prepared[i].status.ok()) Describe(entries_[i], requests[i], prepared[i], plan.reused[i]);
}

void Collector::Describe(Entry& entry, const EngineRequest& request, const Prepared& prepared,
                         std::int64_t reused) {
  EngineResponse& response = entry.response;
  response.prompt_tokens = prepared.prompt_tokens;
  response.truncated_tokens = prepared.truncated_tokens;
  response.reused_tokens = reused;
  const auto prompt = std::span(prepared.sequences[0].input)
                          .first(static_cast<std::size_t>(prepared.prompt_tokens));
  const auto shown = static_cast<std::ptrdiff_t>(std::min<std::size_t>(8, prompt.size()));
  response.first_ids.assign(prompt.begin(), prompt.begin() + shown);
  response.last_ids.assign(prompt.end() - shown, prompt.end());
  if (request.continuations.empty() && request.continuation_ids.empty()) return;
  for (const Sequence& sequence : prepared.sequences) {
    entry.log_probs.emplace_back(sequence.targets.size());
    entry.missing += sequence.targets.size();
  }
  response.is_greedy.assign(prepared.sequences.size(), true);
}

void Collector::Refuse(std::size_t request, const Status& status) {
  entries_[request].response = {};
  entries_[request].response.status = status;
  Emit(request);
}

void Collector::OnStart(std::int32_t request, Time now) {
  Entry& entry = At(request);
  if (entry.started) return;
  entry.started = true;
  entry.first = now;
  entry.response.queue_seconds = Seconds(start_, now);
}

void Collector::OnLogProb(const Wanted& wanted, double log_prob, bool is_argmax, Time now) {
  Entry& entry = At(wanted.request);
  const auto sequence = static_cast<std::size_t>(wanted.sequence);
  entry.log_probs[sequence][static_cast<std::size_t>(wanted.index)] = log_prob;
  if (!is_argmax) entry.response.is_greedy[sequence] = false;
  if (--entry.missing > 0) return;
  // Summed in the order of the tokens, whatever order they came in.
  for (const std::vector<double>& parts : entry.log_probs) {
    double sum = 0;
    for (double part : parts) sum += part;
    if (requests_[static_cast<std::size_t>(wanted.request)].bf16_softmax) sum = RoundToBf16(sum);
    if (!std::isfinite(sum)) return Refuse(static_cast<std::size_t>(wanted.request), NotFinite());
    entry.response.loglikelihoods.push_back(sum);
  }
  entry.response.prefill_seconds = Seconds(entry.first, now);
  Emit(static_cast<std::size_t>(wanted.request));
}

void Collector::OnPrefilled(std::int32_t request, Time now) {
  Entry& entry = At(request);
  entry.response.prefill_seconds = Seconds(entry.first, now);
  entry.first_token = entry.last_token = now;
}

void Collector::OnToken(std::int32_t request, Time now) {
  Entry& entry = At(request);
  entry.response.inter_token_us.push_back(Microseconds(entry.last_token, now));
  entry.last_token = now;
}

void Collector::OnGenerated(std::int32_t request, const Generation& generation, Time now) {
  if (generation.failed()) return Refuse(static_cast<std::size_t>(request), NotFinite());
  Entry& entry = At(request);
  entry.response.text = generation.Text();
  entry.response.generated_ids = generation.ids();
  entry.response.generated_tokens = static_cast<std::int64_t>(generation.ids().size());
  entry.response.finish = generation.finish();
  entry.response.decode_seconds = Seconds(entry.first_token, now);
  Emit(static_cast<std::size_t>(request));
}

void Collector::Emit(std::size_t request) {
  entries_[request].response.tag = requests_[request].tag;
  if (!cancelled_ && !done_(request, std::move(entries_[request].response))) cancelled_ = true;
  entries_[request] = {};
}

}  // namespace h1bench::engine

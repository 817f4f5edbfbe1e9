#include "runner/engine/generation.h"

#include <algorithm>
#include <cmath>

#include "runner/engine/sampler.h"

namespace h1bench::engine {
namespace {

constexpr std::string_view kReplacement = "\uFFFD";

}  // namespace

std::string CutAtStops(std::string text, const std::vector<std::string>& stops) {
  for (const std::string& stop : stops) {
    if (stop.empty()) continue;
    if (const std::size_t at = text.find(stop); at != std::string::npos) text.resize(at);
  }
  return text;
}

void Generation::Step(const RowResult& row, std::span<const float> logits) {
  failed_ = !std::isfinite(row.log_sum_exp);
  if (failed_) return;
  std::int32_t id = row.argmax;
  if (samples()) {
    const auto step = static_cast<std::int64_t>(ids_.size());
    id = Sample(logits, request_.temperature, request_.top_p,
                UniformDraw(request_.sampling_key, step));
  }
  ids_.push_back(id);
  if (!request_.ignore_eos && std::ranges::find(eos_ids_, id) != eos_ids_.end())
    finish_ = "eos";
  else if (EndsInStop())
    finish_ = "stop";
  else if (static_cast<std::int64_t>(ids_.size()) >= request_.max_new_tokens)
    finish_ = "length";
}

/// Looks for a stop that the last token completed. A character whose bytes are not all there yet
/// shows as U+FFFD at the end; its tokens are decoded again with the next one.
bool Generation::EndsInStop() {
  if (tokenizer_ == nullptr || request_.stops.empty()) return false;
  const std::span<const std::int32_t> ids = ids_;
  const std::string before = tokenizer_->Decode(ids.subspan(context_, settled_ - context_), true);
  const std::string with = tokenizer_->Decode(ids.subspan(context_), true);
  const std::string fresh = with.size() > before.size() ? with.substr(before.size()) : "";
  const std::size_t seen = text_.size();
  std::string text = text_ + fresh;
  if (!fresh.ends_with(kReplacement)) {
    text_ = text;
    context_ = settled_;
    settled_ = ids_.size();
  }
  return std::ranges::any_of(request_.stops,
                             [&](const std::string& stop) {
                               const std::size_t from = seen > stop.size() ? seen - stop.size() : 0;
                               return !stop.empty() && text.find(stop, from) != std::string::npos;
                             }) &&
         CutAtStops(Decode(), request_.stops) != Decode();
}

std::string Generation::Decode() const {
  std::span<const std::int32_t> ids = ids_;
  if (finish_ == "eos") ids = ids.first(ids.size() - 1);
  return tokenizer_->Decode(ids, true);
}

std::string Generation::Text() const {
  return tokenizer_ == nullptr ? std::string() : CutAtStops(Decode(), request_.stops);
}

}  // namespace h1bench::engine

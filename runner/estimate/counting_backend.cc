#include "runner/estimate/counting_backend.h"

#include <algorithm>
#include <utility>

#include "kernels/common/check_segments.h"

namespace h1bench {
namespace {

constexpr std::int32_t kGoOn = 1;  // any id that ends nothing

bool IsStep(const Segment& segment) {
  return segment.ids.size() == 1 && segment.keep && segment.rows.size() == 1 &&
         segment.rows[0].targets.empty();
}

/// `length`: tokens in the slot before.
void Add(const Segment& segment, std::int64_t length, ForwardWork& work) {
  const auto tokens = static_cast<std::int64_t>(segment.ids.size());
  const double keys = static_cast<double>(tokens) * static_cast<double>(length) +
                      static_cast<double>(tokens) * static_cast<double>(tokens + 1) / 2;
  if (IsStep(segment)) {
    ++work.generated;
    work.generated_keys += keys;
    return;
  }
  work.prompt_tokens += tokens;
  work.prompt_keys += keys;
  work.asked_rows += static_cast<std::int64_t>(segment.rows.size());
  ++work.prompt_segments;
}

}  // namespace

CountingBackend::CountingBackend(const ModelShape& shape, const BackendOptions& options,
                                 ForwardRates rates, double expected_tokens)
    : shape_(shape), options_(options), rates_(std::move(rates)), slots_(shape.max_positions) {
  Open(expected_tokens);
}

Result<SlotId> CountingBackend::Allocate(std::int64_t max_tokens) {
  H1_ASSIGN_OR_RETURN(const SlotId slot, slots_.Allocate(max_tokens));
  sequences_[slot].account = accounts_.size() - 1;
  return slot;
}

Result<SlotId> CountingBackend::Fork(SlotId from, std::int64_t max_tokens) {
  H1_ASSIGN_OR_RETURN(const SlotId slot, slots_.Fork(from, max_tokens));
  sequences_[slot].account = sequences_[from].account;
  return slot;
}

void CountingBackend::Release(SlotId slot) {
  slots_.Release(slot);
  sequences_.erase(slot);
}

/// The first token came with the prompt. Fractions of tokens are owed to the next generations.
bool CountingBackend::EndsNow(Sequence& sequence) {
  if (!sequence.steps_left) {
    owed_ += accounts_[sequence.account].expected_tokens - 1;
    sequence.steps_left = std::max<std::int64_t>(1, static_cast<std::int64_t>(owed_ + 0.5));
    owed_ -= static_cast<double>(*sequence.steps_left);
  }
  return --*sequence.steps_left <= 0;
}

Result<std::vector<RowResult>> CountingBackend::Forward(std::span<const Segment> segments) {
  H1_RETURN_IF_ERROR(common::CheckSegments(segments, slots_.Rooms(), shape_, options_));
  std::vector<RowResult> results;
  ForwardWork whole;
  std::map<std::size_t, ForwardWork> parts;  // by account
  for (const Segment& segment : segments) {
    common::Slot<Nothing>& slot = *slots_.Find(segment.slot);
    Sequence& sequence = sequences_[segment.slot];
    Add(segment, slot.length, whole);
    Add(segment, slot.length, parts[sequence.account]);
    const bool ends = IsStep(segment) && EndsNow(sequence);
    if (segment.keep) slot.length += static_cast<std::int64_t>(segment.ids.size());
    for (const RowQuery& query : segment.rows) {
      RowResult& row = results.emplace_back();
      row.argmax = ends ? kEnd : kGoOn;
      row.target_logits.resize(query.targets.size());
      if (query.full != nullptr) std::fill_n(query.full, shape_.vocab, 0.0F);
    }
  }
  for (const auto& [place, part] : parts) {
    Account& account = accounts_[place];
    const ForwardSeconds seconds = Seconds(rates_, whole, part);
    account.seconds.prompt += seconds.prompt;
    account.seconds.generated += seconds.generated;
    account.prompt_tokens += part.prompt_tokens;
    account.steps += part.generated;
  }
  return results;
}

}  // namespace h1bench

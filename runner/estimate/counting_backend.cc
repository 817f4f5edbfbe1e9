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

}  // namespace

CountingBackend::CountingBackend(const ModelShape& shape, const BackendOptions& options,
                                 ForwardRates rates)
    : shape_(shape), options_(options), rates_(std::move(rates)), slots_(shape.max_positions) {}

Result<SlotId> CountingBackend::Allocate(std::int64_t max_tokens) {
  return slots_.Allocate(max_tokens);
}

Result<SlotId> CountingBackend::Fork(SlotId from, std::int64_t max_tokens) {
  return slots_.Fork(from, max_tokens);
}

void CountingBackend::Release(SlotId slot) {
  slots_.Release(slot);
  left_.erase(slot);
}

/// The first token came with the prompt. Fractions of tokens are owed to the next generations.
bool CountingBackend::EndsNow(SlotId slot) {
  const auto found = left_.find(slot);
  if (found != left_.end()) return --found->second <= 0;
  owed_ += expected_tokens_ - 1;
  const auto steps = std::max<std::int64_t>(1, static_cast<std::int64_t>(owed_ + 0.5));
  owed_ -= static_cast<double>(steps);
  left_[slot] = steps - 1;
  return steps <= 1;
}

void CountingBackend::Add(const Segment& segment, std::int64_t length, ForwardWork& work) {
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

Result<std::vector<RowResult>> CountingBackend::Forward(std::span<const Segment> segments) {
  H1_RETURN_IF_ERROR(common::CheckSegments(segments, slots_.Rooms(), shape_, options_));
  std::vector<RowResult> results;
  ForwardWork work;
  for (const Segment& segment : segments) {
    common::Slot<Nothing>& slot = *slots_.Find(segment.slot);
    Add(segment, slot.length, work);
    const bool ends = IsStep(segment) && EndsNow(segment.slot);
    if (segment.keep) slot.length += static_cast<std::int64_t>(segment.ids.size());
    for (const RowQuery& query : segment.rows) {
      RowResult& row = results.emplace_back();
      row.argmax = ends ? kEnd : kGoOn;
      row.target_logits.resize(query.targets.size());
      if (query.full != nullptr) std::fill_n(query.full, shape_.vocab, 0.0F);
    }
  }
  const ForwardSeconds seconds = Seconds(rates_, work);
  seconds_.prompt += seconds.prompt;
  seconds_.generated += seconds.generated;
  prompt_tokens_ += work.prompt_tokens;
  steps_ += work.generated;
  return results;
}

}  // namespace h1bench

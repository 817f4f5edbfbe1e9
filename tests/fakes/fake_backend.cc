#include "tests/fakes/fake_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace h1bench {
namespace {

std::uint64_t Mix(std::uint64_t value) {  // splitmix64's finaliser
  value += 0x9e3779b97f4a7c15U;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31);
}

std::uint64_t Extend(std::uint64_t hash, std::int32_t id) {
  return Mix(hash ^ (static_cast<std::uint64_t>(id) + 1));
}

}  // namespace

FakeBackend::FakeBackend(const BackendOptions& options, std::int64_t vocab,
                         std::int64_t max_positions)
    : options_(options) {
  shape_.vocab = vocab;
  shape_.max_positions = max_positions;
}

Status FakeBackend::Misuse(const std::string& what) {
  if (misuse_.empty()) misuse_ = what;
  return {StatusCode::kInternal, "fake backend: " + what};
}

Result<SlotId> FakeBackend::Add(const Slot& slot) {
  if (slot.max_tokens < 1 || slot.max_tokens > shape_.max_positions)
    return Misuse(fmt::format("a slot of {} tokens", slot.max_tokens));
  slots_[next_] = slot;
  peak_bytes_ = std::max(peak_bytes_, MemoryUsed().total());
  return next_++;
}

Result<SlotId> FakeBackend::Allocate(std::int64_t max_tokens) {
  return Add({.max_tokens = max_tokens});
}

void FakeBackend::Release(SlotId slot) {
  if (slots_.erase(slot) == 0) (void)Misuse(fmt::format("release of slot {}", slot));
}

Result<SlotId> FakeBackend::Fork(SlotId from, std::int64_t max_tokens) {
  const auto slot = slots_.find(from);
  if (slot == slots_.end()) return Misuse(fmt::format("fork of slot {}", from));
  if (max_tokens < slot->second.length) return Misuse("fork smaller than its source");
  Slot copy = slot->second;
  copy.max_tokens = max_tokens;
  if (fault_ == Fault::kForkLosesLastToken) copy.hash = copy.before_last;
  return Add(copy);
}

std::int64_t FakeBackend::Length(SlotId slot) const {
  const auto found = slots_.find(slot);
  return found == slots_.end() ? 0 : found->second.length;
}

MemoryPlan FakeBackend::Plan(std::int64_t slots, std::int64_t tokens) {
  MemoryPlan plan;
  plan.weights = kFixedBytes;
  plan.state = slots * kSlotStateBytes;
  plan.kv = slots * tokens * kTokenBytes;
  return plan;
}

MemoryPlan FakeBackend::MemoryUsed() const {
  MemoryPlan used = Plan(0, 0);
  for (const auto& [id, slot] : slots_) {
    used.state += kSlotStateBytes;
    used.kv += kTokenBytes * slot.length;
  }
  return used;
}

std::vector<float> FakeBackend::LogitsOf(std::uint64_t hash) const {
  std::vector<float> logits;
  for (std::int64_t v = 0; v < shape_.vocab; ++v) {
    const auto bits = static_cast<double>(Extend(hash, static_cast<std::int32_t>(v)) >> 40);
    logits.push_back(static_cast<float>(bits * 0x1p-21 - 4));  // [-4, 4)
  }
  return logits;
}

std::vector<float> FakeBackend::Logits(std::span<const std::int32_t> ids) const {
  std::uint64_t hash = 0;
  for (const std::int32_t id : ids) hash = Extend(hash, id);
  return LogitsOf(hash);
}

RowResult FakeBackend::Answer(const std::vector<float>& logits,
                              std::span<const std::int32_t> targets) {
  RowResult row;
  const auto top = std::max_element(logits.begin(), logits.end());
  row.argmax = static_cast<std::int32_t>(top - logits.begin());
  row.argmax_logit = *top;
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  row.log_sum_exp = std::log(sum);
  for (const std::int32_t id : targets)
    row.target_logits.push_back(logits[static_cast<std::size_t>(id)]);
  return row;
}

Status FakeBackend::CheckSegment(const Segment& segment) {
  const auto slot = slots_.find(segment.slot);
  if (slot == slots_.end()) return Misuse(fmt::format("forward on slot {}", segment.slot));
  const auto tokens = static_cast<std::int64_t>(segment.ids.size());
  if (tokens == 0) return Misuse("an empty segment");
  if (slot->second.length + tokens > slot->second.max_tokens) return Misuse("slot overfull");
  for (const std::int32_t id : segment.ids)
    if (id < 0 || id >= shape_.vocab) return Misuse(fmt::format("token id {}", id));
  std::int32_t before = -1;
  for (const RowQuery& row : segment.rows) {
    if (row.offset <= before || row.offset >= tokens) return Misuse("row offsets");
    before = row.offset;
  }
  largest_segment_ = std::max(largest_segment_, tokens);
  return Status::Ok();
}

Status FakeBackend::Check(std::span<const Segment> segments) {
  std::int64_t tokens = 0, rows = 0;
  std::map<SlotId, int> keeping, reading;
  for (const Segment& segment : segments) {
    H1_RETURN_IF_ERROR(CheckSegment(segment));
    tokens += static_cast<std::int64_t>(segment.ids.size());
    rows += static_cast<std::int64_t>(segment.rows.size());
    ++(segment.keep ? keeping : reading)[segment.slot];
  }
  for (const auto& [slot, times] : keeping)
    if (times > 1 || reading.contains(slot))
      return Misuse("a keeping segment's slot appears twice");
  if (tokens > options_.max_batch_tokens) return Misuse(fmt::format("{} tokens at once", tokens));
  if (rows > options_.max_batch_rows) return Misuse(fmt::format("{} rows at once", rows));
  if (segments.empty()) return Misuse("an empty call");
  fed_ += tokens;
  largest_call_ = std::max(largest_call_, tokens);
  most_segments_ = std::max(most_segments_, static_cast<std::int64_t>(segments.size()));
  most_kept_ =
      std::max<std::int64_t>(most_kept_, std::ranges::count(segments, true, &Segment::keep));
  return Status::Ok();
}

Result<std::vector<RowResult>> FakeBackend::Forward(std::span<const Segment> segments) {
  if (calls_++ == failing_call_) return Unavailable("fake backend: told to fail");
  H1_RETURN_IF_ERROR(Check(segments));
  std::int64_t wanted = MemoryUsed().total();
  for (const Segment& segment : segments)
    if (segment.keep) wanted += kTokenBytes * static_cast<std::int64_t>(segment.ids.size());
  if (memory_ > 0 && wanted > memory_) {
    ++refused_;
    return ResourceExhausted("fake backend: {} bytes wanted, there are {}", wanted, memory_);
  }
  std::vector<RowResult> results;
  for (const Segment& segment : segments) {
    Slot& slot = slots_[segment.slot];
    Slot now = slot;
    if (fault_ == Fault::kChunksShow && now.length % 16 != 0) now.hash ^= 1;
    auto row = segment.rows.begin();
    for (std::size_t i = 0; i < segment.ids.size(); ++i) {
      now.before_last = now.hash;
      now.hash = Extend(now.hash, segment.ids[i]);
      ++now.length;
      now.poisoned = now.poisoned || (fault_ == Fault::kNotFinite && segment.ids[i] == 63);
      if (row == segment.rows.end() || static_cast<std::size_t>(row->offset) != i) continue;
      const std::uint64_t batch = fault_ == Fault::kBatchShows ? segments.size() - 1 : 0;
      std::vector<float> logits = LogitsOf(now.hash ^ batch);
      if (now.poisoned) std::ranges::fill(logits, std::nanf(""));
      results.push_back(Answer(logits, row->targets));
      if (row->full != nullptr) std::copy(logits.begin(), logits.end(), row->full);
      ++row;
    }
    if (segment.keep || fault_ == Fault::kReadLeavesTraces) {
      const std::int64_t length = segment.keep ? now.length : slot.length;
      slot = now;
      slot.length = length;
    }
  }
  peak_bytes_ = std::max(peak_bytes_, MemoryUsed().total());
  if (fault_ == Fault::kRowsSwapped && results.size() > 1) {
    std::swap(results.front().argmax, results.back().argmax);
    std::swap(results.front().log_sum_exp, results.back().log_sum_exp);
  }
  return results;
}

}  // namespace h1bench

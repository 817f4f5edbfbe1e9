#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace h1bench {

/// A language model without weights: the logits of a row are a hash of every token id up to it, so
/// a token lost, doubled or taken from another sequence changes all bits that follow. Counts slots
/// and remembers the first misuse of the interface. Not thread-safe.
class FakeBackend final : public Backend {
 public:
  /// Mistakes that the engine or a device could make; each must show in the responses' bits.
  enum class Fault {
    kNone,
    kForkLosesLastToken,  // junction off by one
    kReadLeavesTraces,    // keep = false writes the slot
    kChunksShow,          // state depends on how tokens were cut into Forwards
    kBatchShows,          // logits depend on how many segments there are
    kRowsSwapped,         // results of two segments change places
    kNotFinite,           // a slot that ever holds token 63 gives NaN
  };

  static constexpr std::int64_t kSlotStateBytes = 1000;
  static constexpr std::int64_t kTokenBytes = 10;
  static constexpr std::int64_t kFixedBytes = 5000;

  explicit FakeBackend(const BackendOptions& options = {}, std::int64_t vocab = 64,
                       std::int64_t max_positions = 4096);

  Result<SlotId> Allocate(std::int64_t max_tokens) override;
  void Release(SlotId slot) override;
  Result<SlotId> Fork(SlotId from, std::int64_t max_tokens) override;
  std::int64_t Length(SlotId slot) const override;
  Result<std::vector<RowResult>> Forward(std::span<const Segment> segments) override;
  const ModelShape& shape() const override { return shape_; }
  const BackendOptions& options() const override { return options_; }
  MemoryPlan MemoryUsed() const override;
  std::string Identity() const override { return "fake"; }

  /// Bytes as MemoryUsed() counts them when every slot is full.
  static MemoryPlan Plan(std::int64_t slots, std::int64_t tokens);

  void set_fault(Fault fault) { fault_ = fault; }
  /// The Forward of that number (from 0) fails; -1 for none.
  void set_failing_call(std::int64_t call) { failing_call_ = call; }
  /// What the device really has, whatever the plan says: a Forward that needs more fails and leaves
  /// every slot as it was. 0: no limit.
  void set_memory(std::int64_t bytes) { memory_ = bytes; }
  std::int64_t refused_calls() const { return refused_; }
  const std::string& misuse() const { return misuse_; }  // empty: none
  std::size_t live_slots() const { return slots_.size(); }
  std::int64_t forward_calls() const { return calls_; }
  std::int64_t fed_tokens() const { return fed_; }
  std::int64_t largest_call() const { return largest_call_; }        // tokens
  std::int64_t largest_segment() const { return largest_segment_; }  // tokens
  std::int64_t most_segments() const { return most_segments_; }
  std::int64_t most_kept() const { return most_kept_; }    // segments that write their slot
  std::int64_t peak_bytes() const { return peak_bytes_; }  // of MemoryUsed().total()

  /// The model itself, for tests that compute an answer on their own: logits after `ids`.
  std::vector<float> Logits(std::span<const std::int32_t> ids) const;
  static RowResult Answer(const std::vector<float>& logits, std::span<const std::int32_t> targets);

 private:
  struct Slot {
    std::uint64_t hash = 0, before_last = 0;
    bool poisoned = false;
    std::int64_t length = 0, max_tokens = 0;
  };

  Status Misuse(const std::string& what);
  Status Check(std::span<const Segment> segments);
  Status CheckSegment(const Segment& segment);
  std::vector<float> LogitsOf(std::uint64_t hash) const;
  Result<SlotId> Add(const Slot& slot);

  ModelShape shape_;
  BackendOptions options_;
  std::map<SlotId, Slot> slots_;
  SlotId next_ = 1;
  Fault fault_ = Fault::kNone;
  std::int64_t failing_call_ = -1, memory_ = 0, refused_ = 0;
  std::string misuse_;
  std::int64_t calls_ = 0, fed_ = 0, largest_call_ = 0, largest_segment_ = 0, most_segments_ = 0;
  std::int64_t most_kept_ = 0;
  std::int64_t peak_bytes_ = 0;
};

}  // namespace h1bench

#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "kernels/backend.h"
#include "runner/engine/generation.h"
#include "runner/engine/plan.h"

namespace h1bench::engine {

struct SchedulerLimits {
  std::int64_t max_batch = 1;         // segments of a Forward, and generations in flight
  std::int64_t prefill_chunk = 1;     // tokens of one sequence per Forward
  std::int64_t slot_bytes_limit = 0;  // all slots together
  std::function<std::int64_t(std::int64_t tokens)> slot_bytes;
};

/// What the scheduler tells about a request. Times are of the engine's steady clock.
class Listener {
 public:
  using Time = std::chrono::steady_clock::time_point;
  virtual ~Listener() = default;
  /// A token of the request's own is about to be computed. Called once or more.
  virtual void OnStart(std::int32_t request, Time now) = 0;
  virtual void OnLogProb(const Wanted& wanted, double log_prob, bool is_argmax, Time now) = 0;
  virtual void OnForward(Phase phase) = 0;  // about to begin
  /// A token after the first is there.
  virtual void OnToken(std::int32_t request, Time now) = 0;
  /// The first token is there.
  virtual void OnPrefilled(std::int32_t request, Time now) = 0;
  virtual void OnGenerated(std::int32_t request, const Generation& generation, Time now) = 0;
};

/// Carries a plan out: one Forward after the other, each filled with the next token of every
/// generation in flight, then with the next chunk of every node that has begun, then with nodes
/// whose parent is done, in the plan's order. Never holds more slot memory than the limit.
///
/// Slots: a junction, a generation and a scored leaf longer than one chunk have their own. A
/// scored leaf that fits into one chunk reads its parent's slot and leaves it as it was.
///
/// No deadlock: whatever is not a junction ends by itself and gives its memory back. A junction
/// begins only when afterwards the open junctions could still be finished one by one, each giving
/// its memory to the next (the banker's rule).
class Scheduler {
 public:
  Scheduler(Backend& backend, Clock& clock, const SchedulerLimits& limits, const Plan& plan,
            std::vector<Generation>& generations, Listener& listener, EngineStats& stats);
  ~Scheduler();  // releases every slot

  bool done() const { return ready_.empty() && running_.empty() && decoding_.empty(); }
  /// One Forward.
  Status Step();
  std::int64_t peak_slot_bytes() const { return peak_bytes_; }

 private:
  static constexpr SlotId kNoSlot = -1;

  /// A node on its way.
  struct State {
    SlotId slot = kNoSlot;      // its own
    std::int64_t position = 0;  // tokens of the sequence computed so far
    std::int64_t bytes = 0;     // reserved for the slot
    std::int64_t capacity = 0;  // tokens the slot must admit; those of readers are workspace
    std::int64_t need = 0;      // a junction: bytes that the neediest chain below it may want
    std::int64_t users = 0;     // a junction: children that have not read its state yet
    bool wants_last = false;    // a generation starts from the row at its end
    bool wants_logits = false;  // … and samples
    RowResult last;
    std::vector<float> logits;  // that row, or a sampling generation's newest
  };

  /// A segment of the Forward that is being put together: rows [first_row, first_row + rows) of the
  /// node, then the row at its end or of its generation where `extra`.
  struct Item {
    std::int32_t node = 0;
    std::size_t first_row = 0, rows = 0;
    bool last_merged = false, extra = false, decode = false;
  };
  struct Batch {
    std::vector<Segment> segments;
    std::vector<Item> items;
    std::deque<std::vector<float>> logits;  // of rows with bf16; a deque: pointers stay good
    std::int64_t tokens_left = 0, rows_left = 0, segments_left = 0;
  };
  enum class Admission { kBegun, kNoMemory, kFull };

  const Node& At(std::int32_t node) const { return plan_.nodes[static_cast<std::size_t>(node)]; }
  State& Of(std::int32_t node) { return states_[static_cast<std::size_t>(node)]; }
  Generation& GenerationOf(std::int32_t node) {
    return generations_[static_cast<std::size_t>(At(node).generates)];
  }

  void InitStates();
  void AddDecodes(Batch& batch);
  void AddRunning(Batch& batch);
  Result<bool> AddReady(Batch& batch);  // whether any node began
  Result<Admission> Admit(std::int32_t node, Batch& batch);
  bool Borrows(std::int32_t node) const;
  bool MayReserve(std::int32_t node);
  Status TakeSlot(std::int32_t node);
  void AddChunk(std::int32_t node, SlotId slot, bool keep, Batch& batch);

  Status Forward(Batch& batch);
  void Deliver(const Item& item, const Segment& segment, std::span<RowResult> results,
               Listener::Time now);
  void DeliverRow(const Row& row, const RowQuery& query, const RowResult& result,
                  Listener::Time now);
  void FinishNode(std::int32_t node, Listener::Time now);
  void StartGeneration(std::int32_t node, const RowResult& row, std::span<const float> logits,
                       Listener::Time now);
  void EndGeneration(std::int32_t node, Listener::Time now);
  void ReleaseSlot(std::int32_t node);
  void ReleaseUser(std::int32_t junction);

  Backend& backend_;
  Clock& clock_;
  SchedulerLimits limits_;
  std::int64_t max_rows_ = 0;  // queries of one Forward at most
  const Plan& plan_;
  std::vector<Generation>& generations_;
  Listener& listener_;
  EngineStats& stats_;

  std::vector<State> states_;           // by node
  std::vector<std::int32_t> rank_;      // by node: its place in the plan's order
  std::set<std::int32_t> ready_;        // ranks: parent done, not begun
  std::set<std::int32_t> running_;      // ranks: begun, with a slot and tokens to go
  std::vector<std::int32_t> decoding_;  // nodes with a generation in flight
  std::multiset<std::pair<std::int64_t, std::int64_t>> open_;  // junctions with a slot: need, bytes
  std::int64_t generating_ = 0;  // generation leaves begun and not ended
  std::int64_t used_bytes_ = 0, peak_bytes_ = 0, slots_ = 0;
};

}  // namespace h1bench::engine

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
  std::int64_t max_batch = 1;         // sequences with a slot in one Forward, generations in flight
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
  /// A token after the first is there.
  virtual void OnToken(std::int32_t request, Time now) = 0;
  /// The first token is there.
  virtual void OnPrefilled(std::int32_t request, Time now) = 0;
  virtual void OnGenerated(std::int32_t request, const Generation& generation, Time now) = 0;
};

/// A plan under way in a scheduler. What it is made of must outlive it.
class Job {
 public:
  /// `generations` and `listener`: by the plan's requests.
  Job(const Plan& plan, std::vector<Generation>& generations, Listener& listener);
  bool done() const { return ready_.empty() && running_.empty() && decoding_.empty(); }

 private:
  friend class Scheduler;
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

  const Node& At(std::int32_t node) const { return plan_.nodes[static_cast<std::size_t>(node)]; }
  State& Of(std::int32_t node) { return states_[static_cast<std::size_t>(node)]; }
  std::int32_t RankOf(std::int32_t node) const { return rank_[static_cast<std::size_t>(node)]; }
  std::int32_t NodeOf(std::int32_t rank) const {
    return plan_.order[static_cast<std::size_t>(rank)];
  }
  Generation& GenerationOf(std::int32_t node) {
    return generations_[static_cast<std::size_t>(At(node).generates)];
  }

  const Plan& plan_;
  std::vector<Generation>& generations_;
  Listener& listener_;
  std::vector<State> states_;           // by node
  std::vector<std::int32_t> rank_;      // by node: its place in the plan's order
  std::set<std::int32_t> ready_;        // ranks: parent done, not begun
  std::set<std::int32_t> running_;      // ranks: begun, with a slot and tokens to go
  std::vector<std::int32_t> decoding_;  // nodes with a generation in flight
};

/// Carries plans out: one Forward after the other, each filled with the next token of every
/// generation in flight, then with the next chunk of every node that has begun, then with nodes
/// whose parent is done, in the order of the plans and in each plan's order. Where a Forward has
/// room left, another plan is taken up: so the shared prefix of the next shard rides in the last
/// Forward of the one before. Never holds more slot memory than the limit.
///
/// Slots: a junction, a generation and a scored leaf longer than one chunk have their own. A
/// scored leaf that fits into one chunk reads its parent's slot and leaves it as it was.
///
/// No deadlock: whatever is not a junction ends by itself and gives its memory back. A junction
/// begins only when afterwards the open junctions, of whatever plan, could still be finished one by
/// one, each giving its memory to the next (the banker's rule).
class Scheduler {
 public:
  /// `on_forward` may be empty: told before every Forward.
  Scheduler(Backend& backend, Clock& clock, const SchedulerLimits& limits,
            const std::function<void(Phase)>& on_forward, EngineStats& stats);
  ~Scheduler();  // releases every slot

  /// Takes a job up behind the others. It must live until it is removed.
  void Add(Job& job);
  /// Forgets a job, done or not, and releases its slots.
  void Remove(Job& job);
  /// One Forward of what is there. While it has room, `more` is asked to Add another job; it
  /// returns false when there is none.
  Status Step(const std::function<bool()>& more);
  std::int64_t peak_slot_bytes() const { return peak_bytes_; }

 private:
  using State = Job::State;
  static constexpr SlotId kNoSlot = Job::kNoSlot;

  /// A segment of the Forward that is being put together: rows [first_row, first_row + rows) of the
  /// node, then the row at its end or of its generation where `extra`.
  struct Item {
    Job* job = nullptr;
    std::int32_t node = 0;
    std::size_t first_row = 0, rows = 0;
    bool last_merged = false, extra = false, decode = false;
  };
  struct Batch {
    std::vector<Segment> segments;
    std::vector<Item> items;
    std::deque<std::vector<float>> logits;  // of rows with bf16; a deque: pointers stay good
    std::int64_t tokens_left = 0, rows_left = 0, slots_left = 0;
    std::int64_t full_left = 0;  // rows whose logits are all read
    bool full() const { return tokens_left < 1 || rows_left < 1 || slots_left < 1; }
  };
  enum class Admission { kBegun, kNoMemory, kFull };
  /// How far a job's ready nodes came.
  struct Turn {
    bool begun = false;    // some did
    bool starved = false;  // some wait for memory
    bool stop = false;     // no node behind may begin in this Forward
  };

  void AddDecodes(Job& job, Batch& batch);
  void AddRunning(Job& job, Batch& batch);
  Result<Turn> AddReady(Job& job, Batch& batch);
  Result<bool> AddAllReady(Batch& batch, const std::function<bool()>& more);
  bool HasRoomForMore(const Batch& batch) const;
  Result<Admission> Admit(Job& job, std::int32_t node, Batch& batch);
  bool Borrows(const Job& job, std::int32_t node) const;
  static std::int64_t FullRows(const Node& node);
  bool MayReserve(Job& job, std::int32_t node);
  Status TakeSlot(Job& job, std::int32_t node);
  void AddChunk(Job& job, std::int32_t node, SlotId slot, bool keep, Batch& batch);
  std::int64_t AddRows(const Node& node, std::int64_t position, std::int64_t tokens,
                       Segment& segment, Item& item, Batch& batch) const;

  Status Forward(Batch& batch);
  void Deliver(const Item& item, const Segment& segment, std::span<RowResult> results,
               Listener::Time now);
  void DeliverRow(Job& job, const Row& row, const RowQuery& query, const RowResult& result,
                  Listener::Time now);
  void FinishNode(Job& job, std::int32_t node, Listener::Time now);
  void StartGeneration(Job& job, std::int32_t node, const RowResult& row,
                       std::span<const float> logits, Listener::Time now);
  void EndGeneration(Job& job, std::int32_t node, Listener::Time now);
  void ReleaseSlot(Job& job, std::int32_t node);
  void ReleaseUser(Job& job, std::int32_t junction);

  Backend& backend_;
  Clock& clock_;
  SchedulerLimits limits_;
  const std::function<void(Phase)>& on_forward_;
  EngineStats& stats_;
  std::vector<Job*> jobs_;                                     // in the order in which they came
  std::multiset<std::pair<std::int64_t, std::int64_t>> open_;  // junctions with a slot: need, bytes
  std::int64_t generating_ = 0;  // generation leaves begun and not ended
  std::int64_t used_bytes_ = 0, peak_bytes_ = 0, slots_ = 0;
};

}  // namespace h1bench::engine

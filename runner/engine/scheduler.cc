#include "runner/engine/scheduler.h"

#include <algorithm>
#include <optional>

#include "runner/engine/bf16_softmax.h"

namespace h1bench::engine {
namespace {

/// Rows of one Forward when all logits of some are read: 64 rows of 131 072 logits are 32 MiB.
constexpr std::int64_t kFullRows = 64;

}  // namespace

Job::Job(const Plan& plan, std::vector<Generation>& generations, Listener& listener)
    : plan_(plan),
      generations_(generations),
      listener_(listener),
      states_(plan.nodes.size()),
      rank_(plan.nodes.size()) {
  for (std::size_t i = 0; i < plan.order.size(); ++i)
    rank_[static_cast<std::size_t>(plan.order[i])] = static_cast<std::int32_t>(i);
  for (std::int32_t child : At(0).children) ready_.insert(RankOf(child));
}

Scheduler::Scheduler(Backend& backend, Clock& clock, const SchedulerLimits& limits,
                     const std::function<void(Phase)>& on_forward, EngineStats& stats)
    : backend_(backend), clock_(clock), limits_(limits), on_forward_(on_forward), stats_(stats) {
  const BackendOptions& options = backend.options();
  limits_.max_batch = std::clamp<std::int64_t>(
      limits.max_batch, 1, std::min(options.max_batch_tokens, options.max_batch_rows));
  limits_.prefill_chunk =
      std::clamp<std::int64_t>(limits.prefill_chunk, 1, options.max_batch_tokens);
}

Scheduler::~Scheduler() {
  while (!jobs_.empty()) Remove(*jobs_.back());
}

void Scheduler::Add(Job& job) {
  // Children come after their parent in the order: backwards, every need below is known.
  for (auto it = job.plan_.order.rbegin(); it != job.plan_.order.rend(); ++it) {
    const Node& node = job.At(*it);
    State& state = job.Of(*it);
    state.position = node.begin;
    state.bytes = limits_.slot_bytes(node.max_tokens);
    state.users = static_cast<std::int64_t>(node.children.size());
    state.capacity = node.max_tokens;
    for (std::int32_t child : node.children)
      if (Borrows(job, child))
        state.capacity = std::max(state.capacity, job.At(child).end);
      else
        state.need = std::max(state.need, job.Of(child).bytes + job.Of(child).need);
    if (node.generates < 0) continue;
    State& source = job.Of(node.tokens() > 0 ? *it : node.parent);
    source.wants_last = true;
    source.wants_logits = source.wants_logits || job.GenerationOf(*it).samples();
  }
  jobs_.push_back(&job);
}

void Scheduler::Remove(Job& job) {
  for (std::size_t node = 0; node < job.states_.size(); ++node) {
    if (job.states_[node].slot == kNoSlot) continue;
    const auto index = static_cast<std::int32_t>(node);
    if (job.At(index).generates >= 0) --generating_;
    ReleaseSlot(job, index);
  }
  std::erase(jobs_, &job);
}

std::int64_t Scheduler::FullRows(const Node& node) {
  return std::ranges::count(node.rows, true, &Row::bf16);
}

/// A scored leaf of one chunk reads its parent's slot.
bool Scheduler::Borrows(const Job& job, std::int32_t index) const {
  const Node& node = job.At(index);
  return node.parent != 0 && !node.junction() && node.generates < 0 &&
         node.tokens() <= limits_.prefill_chunk &&
         static_cast<std::int64_t>(node.rows.size()) <= backend_.options().max_batch_rows &&
         FullRows(node) <= kFullRows;
}

Status Scheduler::Step(const std::function<bool()>& more) {
  Batch batch;
  batch.tokens_left = backend_.options().max_batch_tokens;
  batch.rows_left = backend_.options().max_batch_rows;
  batch.slots_left = limits_.max_batch;
  batch.full_left = kFullRows;
  for (Job* job : jobs_) AddDecodes(*job, batch);
  for (Job* job : jobs_) AddRunning(*job, batch);
  H1_ASSIGN_OR_RETURN(const bool begun, AddAllReady(batch, more));
  if (!batch.segments.empty()) return Forward(batch);
  if (begun) return Status::Ok();  // generations of nothing but a shared prompt need no Forward yet
  std::size_t waiting = 0;
  for (const Job* job : jobs_) waiting += job->ready_.size();
  return Internal("engine: {} nodes of the plan wait for memory that nobody will give back",
                  waiting);
}

void Scheduler::AddDecodes(Job& job, Batch& batch) {
  for (std::int32_t node : job.decoding_) {
    const Generation& generation = job.GenerationOf(node);
    State& state = job.Of(node);
    Segment segment{state.slot, std::span(generation.ids()).last(1), {}, true};
    segment.rows.push_back({0, {}, generation.samples() ? state.logits.data() : nullptr});
    batch.segments.push_back(std::move(segment));
    batch.items.push_back({.job = &job, .node = node, .extra = true, .decode = true});
    --batch.tokens_left;
    --batch.rows_left;
    --batch.slots_left;
  }
}

void Scheduler::AddRunning(Job& job, Batch& batch) {
  for (std::int32_t rank : job.running_) {
    if (batch.full()) return;
    const std::int32_t node = job.NodeOf(rank);
    AddChunk(job, node, job.Of(node).slot, true, batch);
  }
}

/// Not for a few last tokens, and not while generations wait for others to end: work that is taken
/// up here is kept from other workers.
bool Scheduler::HasRoomForMore(const Batch& batch) const {
  constexpr std::int64_t kParts = 16;
  return !batch.full() && generating_ < limits_.max_batch &&
         batch.tokens_left >= backend_.options().max_batch_tokens / kParts;
}

/// Whether any node began.
Result<bool> Scheduler::AddAllReady(Batch& batch, const std::function<bool()>& more) {
  bool begun = false, starved = false;
  for (std::size_t i = 0;; ++i) {
    if (i == jobs_.size() && (starved || !HasRoomForMore(batch) || !more())) return begun;
    H1_ASSIGN_OR_RETURN(const Turn turn, AddReady(*jobs_[i], batch));
    begun = begun || turn.begun;
    starved = starved || turn.starved;
    if (turn.stop) return begun;
  }
}

Result<Scheduler::Turn> Scheduler::AddReady(Job& job, Batch& batch) {
  Turn turn;
  for (auto it = job.ready_.begin(); it != job.ready_.end();) {
    turn.stop = batch.full();
    if (turn.stop) break;
    H1_ASSIGN_OR_RETURN(const Admission admission, Admit(job, job.NodeOf(*it), batch));
    turn.stop = admission == Admission::kFull;
    if (turn.stop) break;  // nobody overtakes: large nodes get their turn
    const bool began = admission == Admission::kBegun;
    (began ? turn.begun : turn.starved) = true;
    it = began ? job.ready_.erase(it) : std::next(it);
  }
  return turn;
}

Result<Scheduler::Admission> Scheduler::Admit(Job& job, std::int32_t index, Batch& batch) {
  const Node& node = job.At(index);
  if (Borrows(job, index)) {
    if (node.tokens() > batch.tokens_left || FullRows(node) > batch.full_left ||
        static_cast<std::int64_t>(node.rows.size()) > batch.rows_left)
      return Admission::kFull;
    AddChunk(job, index, job.Of(node.parent).slot, false, batch);
    return Admission::kBegun;
  }
  if (node.generates >= 0 && generating_ >= limits_.max_batch) return Admission::kFull;
  if (!MayReserve(job, index)) return Admission::kNoMemory;
  H1_RETURN_IF_ERROR(TakeSlot(job, index));
  if (node.generates >= 0) ++generating_;
  if (node.tokens() == 0) {  // a generation from the end of a shared prompt
    const Listener::Time now = clock_.Steady();
    job.listener_.OnStart(node.generates, now);
    const State& parent = job.Of(node.parent);
    StartGeneration(job, index, parent.last, parent.logits, now);
    ReleaseUser(job, node.parent);
    return Admission::kBegun;
  }
  if (node.parent != 0) ReleaseUser(job, node.parent);
  job.running_.insert(job.RankOf(index));
  AddChunk(job, index, job.Of(index).slot, true, batch);
  return Admission::kBegun;
}

bool Scheduler::MayReserve(Job& job, std::int32_t index) {
  const State& state = job.Of(index);
  if (used_bytes_ + state.bytes > limits_.slot_bytes_limit) return false;
  if (!job.At(index).junction()) return true;
  auto open = open_;
  open.emplace(state.need, state.bytes);
  std::int64_t free = limits_.slot_bytes_limit;
  for (const auto& [need, bytes] : open) free -= bytes;
  for (const auto& [need, bytes] : open) {  // by need: a junction's children come before it
    if (need > free) return false;
    free += bytes;
  }
  return true;
}

Status Scheduler::TakeSlot(Job& job, std::int32_t index) {
  const Node& node = job.At(index);
  State& state = job.Of(index);
  auto slot = node.parent == 0 ? backend_.Allocate(state.capacity)
                               : backend_.Fork(job.Of(node.parent).slot, state.capacity);
  H1_RETURN_IF_ERROR(slot.status());
  state.slot = *slot;
  if (node.parent != 0) ++stats_.forks;
  if (node.junction()) open_.emplace(state.need, state.bytes);
  used_bytes_ += state.bytes;
  peak_bytes_ = std::max(peak_bytes_, used_bytes_);
  stats_.peak_slots = std::max(stats_.peak_slots, ++slots_);
  return Status::Ok();
}

/// Asks for the rows at [position, position + tokens), as many as there is room for. Returns how
/// many of the tokens come before the first row that found none.
std::int64_t Scheduler::AddRows(const Node& node, std::int64_t position, std::int64_t tokens,
                                Segment& segment, Item& item, Batch& batch) const {
  const auto row = std::ranges::lower_bound(node.rows, position, {}, &Row::position);
  item.first_row = static_cast<std::size_t>(row - node.rows.begin());
  for (auto it = row; it != node.rows.end() && it->position < position + tokens; ++it) {
    const bool room = batch.rows_left > static_cast<std::int64_t>(segment.rows.size());
    if (!room || (it->bf16 && batch.full_left < 1)) return it->position - position;
    segment.rows.push_back(
        {static_cast<std::int32_t>(it->position - position), it->targets, nullptr});
    if (it->bf16) {
      batch.logits.emplace_back(static_cast<std::size_t>(backend_.shape().vocab));
      segment.rows.back().full = batch.logits.back().data();
      --batch.full_left;
    }
    ++item.rows;
  }
  return tokens;
}

/// The node's next tokens, as many as the limits allow, with the rows that lie on them.
void Scheduler::AddChunk(Job& job, std::int32_t index, SlotId slot, bool keep, Batch& batch) {
  const Node& node = job.At(index);
  State& state = job.Of(index);
  Item item{.job = &job, .node = index};
  Segment segment{slot, {}, {}, keep};
  std::int64_t tokens =
      AddRows(node, state.position,
              std::min({limits_.prefill_chunk, node.end - state.position, batch.tokens_left}),
              segment, item, batch);
  if (state.wants_last && state.position + tokens == node.end) {
    if (state.wants_logits) state.logits.resize(static_cast<std::size_t>(backend_.shape().vocab));
    const auto offset = static_cast<std::int32_t>(tokens - 1);
    item.last_merged = !segment.rows.empty() && segment.rows.back().offset == offset;
    item.extra = !item.last_merged;
    // A row more than rows_left at most: the chunk is cut by one token instead.
    if (item.extra && batch.rows_left <= static_cast<std::int64_t>(segment.rows.size())) {
      item.extra = false;
      --tokens;
    } else {
      if (item.extra) segment.rows.push_back({offset, {}, nullptr});
      if (state.wants_logits) segment.rows.back().full = state.logits.data();
    }
  }
  if (tokens < 1) return;
  segment.ids = std::span(*node.ids).subspan(static_cast<std::size_t>(state.position),
                                             static_cast<std::size_t>(tokens));
  if (node.generates < 0 && !node.junction() && state.position + tokens == node.end)
    segment.keep = false;  // nobody reads a scored leaf's state
  const Listener::Time now = clock_.Steady();
  for (std::int32_t request : node.requests) job.listener_.OnStart(request, now);
  state.position += tokens;
  batch.tokens_left -= tokens;
  batch.rows_left -= static_cast<std::int64_t>(segment.rows.size());
  if (state.slot != kNoSlot) --batch.slots_left;
  batch.segments.push_back(std::move(segment));
  batch.items.push_back(item);
}

Status Scheduler::Forward(Batch& batch) {
  const auto decodes = std::ranges::count(batch.items, true, &Item::decode);
  const Phase phase = decodes == 0                         ? Phase::kPrefill
                      : decodes == std::ssize(batch.items) ? Phase::kDecode
                                                           : Phase::kMixed;
  if (on_forward_) on_forward_(phase);
  const Listener::Time start = clock_.Steady();
  H1_ASSIGN_OR_RETURN(std::vector<RowResult> results, backend_.Forward(batch.segments));
  const Listener::Time now = clock_.Steady();
  ++stats_.forward_calls;
  stats_.fed_tokens += backend_.options().max_batch_tokens - batch.tokens_left;
  const double seconds = std::chrono::duration<double>(now - start).count();
  stats_.forward_seconds += seconds;
  stats_.phase_seconds[static_cast<std::size_t>(phase)] += seconds;
  std::size_t wanted = 0;
  for (const Segment& segment : batch.segments) wanted += segment.rows.size();
  if (results.size() != wanted)
    return Internal("engine: the backend answered {} rows, expected {}", results.size(), wanted);
  std::span<RowResult> rest = results;
  for (std::size_t i = 0; i < batch.items.size(); ++i) {
    const std::size_t rows = batch.segments[i].rows.size();
    Deliver(batch.items[i], batch.segments[i], rest.first(rows), now);
    rest = rest.subspan(rows);
  }
  for (Job* job : jobs_) {
    std::erase_if(job->decoding_,
                  [job](std::int32_t node) { return job->GenerationOf(node).done(); });
  }
  return Status::Ok();
}

void Scheduler::DeliverRow(Job& job, const Row& row, const RowQuery& query, const RowResult& result,
                           Listener::Time now) {
  std::optional<Bf16LogSoftmax> rounded;
  if (row.bf16)
    rounded.emplace(std::span(query.full, static_cast<std::size_t>(backend_.shape().vocab)));
  for (std::size_t k = 0; k < row.wanted.size(); ++k) {
    const Wanted& wanted = row.wanted[k];
    const std::int32_t id = row.targets[k];
    if (wanted.bf16)
      job.listener_.OnLogProb(wanted, rounded->LogProb(id), rounded->argmax() == id, now);
    else
      job.listener_.OnLogProb(wanted,
                              static_cast<double>(result.target_logits[k]) - result.log_sum_exp,
                              result.argmax == id, now);
  }
}

void Scheduler::Deliver(const Item& item, const Segment& segment, std::span<RowResult> results,
                        Listener::Time now) {
  Job& job = *item.job;
  const Node& node = job.At(item.node);
  State& state = job.Of(item.node);
  if (item.decode) {
    Generation& generation = job.GenerationOf(item.node);
    generation.Step(results[0], state.logits);
    job.listener_.OnToken(node.generates, now);
    if (generation.done()) EndGeneration(job, item.node, now);
    return;
  }
  for (std::size_t i = 0; i < item.rows; ++i)
    DeliverRow(job, node.rows[item.first_row + i], segment.rows[i], results[i], now);
  if (item.last_merged || item.extra) state.last = std::move(results.back());
  if (state.position == node.end) FinishNode(job, item.node, now);
}

/// All tokens of the node are computed.
void Scheduler::FinishNode(Job& job, std::int32_t index, Listener::Time now) {
  const Node& node = job.At(index);
  State& state = job.Of(index);
  job.running_.erase(job.RankOf(index));
  if (node.generates >= 0) {
    StartGeneration(job, index, state.last, state.logits, now);
  } else if (node.junction()) {
    for (std::int32_t child : node.children) job.ready_.insert(job.RankOf(child));
  } else if (state.slot != kNoSlot) {
    ReleaseSlot(job, index);
  } else {
    ReleaseUser(job, node.parent);
  }
}

void Scheduler::StartGeneration(Job& job, std::int32_t index, const RowResult& row,
                                std::span<const float> logits, Listener::Time now) {
  Generation& generation = job.GenerationOf(index);
  generation.Step(row, logits);
  job.listener_.OnPrefilled(job.At(index).generates, now);
  if (generation.done()) return EndGeneration(job, index, now);
  if (generation.samples())
    job.Of(index).logits.resize(static_cast<std::size_t>(backend_.shape().vocab));
  job.decoding_.push_back(index);
}

void Scheduler::EndGeneration(Job& job, std::int32_t index, Listener::Time now) {
  --generating_;
  ReleaseSlot(job, index);
  job.listener_.OnGenerated(job.At(index).generates, job.GenerationOf(index), now);
}

void Scheduler::ReleaseSlot(Job& job, std::int32_t index) {
  State& state = job.Of(index);
  backend_.Release(state.slot);
  state.slot = kNoSlot;
  std::vector<float>().swap(state.logits);
  used_bytes_ -= state.bytes;
  --slots_;
  if (job.At(index).junction()) open_.erase(open_.find({state.need, state.bytes}));
}

void Scheduler::ReleaseUser(Job& job, std::int32_t junction) {
  if (--job.Of(junction).users == 0) ReleaseSlot(job, junction);
}

}  // namespace h1bench::engine

#include "runner/engine/scheduler.h"

#include <algorithm>
#include <optional>

#include "runner/engine/bf16_softmax.h"

namespace h1bench::engine {
namespace {

/// Rows of one Forward when all logits of some are read: 64 rows of 131 072 logits are 32 MiB.
constexpr std::int64_t kFullRows = 64;

}  // namespace

Scheduler::Scheduler(Backend& backend, Clock& clock, const SchedulerLimits& limits,
                     const Plan& plan, std::vector<Generation>& generations, Listener& listener,
                     EngineStats& stats)
    : backend_(backend),
      clock_(clock),
      limits_(limits),
      plan_(plan),
      generations_(generations),
      listener_(listener),
      stats_(stats),
      states_(plan.nodes.size()),
      rank_(plan.nodes.size()) {
  const BackendOptions& options = backend.options();
  max_rows_ = options.max_batch_rows;
  for (const Node& node : plan.nodes) {
    if (std::ranges::any_of(node.rows, &Row::bf16)) max_rows_ = std::min(max_rows_, kFullRows);
  }
  limits_.max_batch =
      std::clamp<std::int64_t>(limits.max_batch, 1, std::min(options.max_batch_tokens, max_rows_));
  limits_.prefill_chunk =
      std::clamp<std::int64_t>(limits.prefill_chunk, 1, options.max_batch_tokens);
  InitStates();
}

Scheduler::~Scheduler() {
  for (State& state : states_)
    if (state.slot != kNoSlot) backend_.Release(state.slot);
}

void Scheduler::InitStates() {
  for (std::size_t i = 0; i < plan_.order.size(); ++i)
    rank_[static_cast<std::size_t>(plan_.order[i])] = static_cast<std::int32_t>(i);
  // Children come after their parent in the order: backwards, every need below is known.
  for (auto it = plan_.order.rbegin(); it != plan_.order.rend(); ++it) {
    const Node& node = At(*it);
    State& state = Of(*it);
    state.position = node.begin;
    state.bytes = limits_.slot_bytes(node.max_tokens);
    state.users = static_cast<std::int64_t>(node.children.size());
    state.capacity = node.max_tokens;
    for (std::int32_t child : node.children)
      if (Borrows(child))
        state.capacity = std::max(state.capacity, At(child).end);
      else
        state.need = std::max(state.need, Of(child).bytes + Of(child).need);
    if (node.generates < 0) continue;
    const std::int32_t source = node.tokens() > 0 ? *it : node.parent;
    Of(source).wants_last = true;
    Of(source).wants_logits = Of(source).wants_logits || GenerationOf(*it).samples();
  }
  for (std::int32_t child : At(0).children) ready_.insert(rank_[static_cast<std::size_t>(child)]);
}

/// A scored leaf of one chunk reads its parent's slot.
bool Scheduler::Borrows(std::int32_t index) const {
  const Node& node = At(index);
  return node.parent != 0 && !node.junction() && node.generates < 0 &&
         node.tokens() <= limits_.prefill_chunk &&
         static_cast<std::int64_t>(node.rows.size()) <= max_rows_;
}

Status Scheduler::Step() {
  Batch batch;
  batch.tokens_left = backend_.options().max_batch_tokens;
  batch.rows_left = max_rows_;
  batch.segments_left = limits_.max_batch;
  AddDecodes(batch);
  AddRunning(batch);
  H1_ASSIGN_OR_RETURN(const bool begun, AddReady(batch));
  if (!batch.segments.empty()) return Forward(batch);
  if (begun) return Status::Ok();  // generations of nothing but a shared prompt need no Forward yet
  return Internal("engine: {} nodes of the plan wait for memory that nobody will give back",
                  ready_.size());
}

void Scheduler::AddDecodes(Batch& batch) {
  for (std::int32_t node : decoding_) {
    const Generation& generation = GenerationOf(node);
    State& state = Of(node);
    Segment segment{state.slot, std::span(generation.ids()).last(1), {}, true};
    segment.rows.push_back({0, {}, generation.samples() ? state.logits.data() : nullptr});
    batch.segments.push_back(std::move(segment));
    batch.items.push_back({.node = node, .extra = true, .decode = true});
    --batch.tokens_left;
    --batch.rows_left;
    --batch.segments_left;
  }
}

void Scheduler::AddRunning(Batch& batch) {
  for (std::int32_t rank : running_) {
    if (batch.tokens_left < 1 || batch.rows_left < 1 || batch.segments_left < 1) return;
    const std::int32_t node = plan_.order[static_cast<std::size_t>(rank)];
    AddChunk(node, Of(node).slot, true, batch);
  }
}

Result<bool> Scheduler::AddReady(Batch& batch) {
  const std::size_t before = ready_.size();
  for (auto it = ready_.begin(); it != ready_.end();) {
    if (batch.tokens_left < 1 || batch.rows_left < 1 || batch.segments_left < 1) break;
    H1_ASSIGN_OR_RETURN(const Admission admission,
                        Admit(plan_.order[static_cast<std::size_t>(*it)], batch));
    if (admission == Admission::kFull) break;  // nobody overtakes: large nodes get their turn
    it = admission == Admission::kBegun ? ready_.erase(it) : std::next(it);
  }
  return ready_.size() < before;
}

Result<Scheduler::Admission> Scheduler::Admit(std::int32_t index, Batch& batch) {
  const Node& node = At(index);
  if (Borrows(index)) {
    if (node.tokens() > batch.tokens_left ||
        static_cast<std::int64_t>(node.rows.size()) > batch.rows_left)
      return Admission::kFull;
    AddChunk(index, Of(node.parent).slot, false, batch);
    return Admission::kBegun;
  }
  if (node.generates >= 0 && generating_ >= limits_.max_batch) return Admission::kFull;
  if (!MayReserve(index)) return Admission::kNoMemory;
  H1_RETURN_IF_ERROR(TakeSlot(index));
  if (node.generates >= 0) ++generating_;
  if (node.tokens() == 0) {  // a generation from the end of a shared prompt
    const Listener::Time now = clock_.Steady();
    listener_.OnStart(node.generates, now);
    const State& parent = Of(node.parent);
    StartGeneration(index, parent.last, parent.logits, now);
    ReleaseUser(node.parent);
    return Admission::kBegun;
  }
  if (node.parent != 0) ReleaseUser(node.parent);
  running_.insert(rank_[static_cast<std::size_t>(index)]);
  AddChunk(index, Of(index).slot, true, batch);
  return Admission::kBegun;
}

bool Scheduler::MayReserve(std::int32_t index) {
  const State& state = Of(index);
  if (used_bytes_ + state.bytes > limits_.slot_bytes_limit) return false;
  if (!At(index).junction()) return true;
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

Status Scheduler::TakeSlot(std::int32_t index) {
  const Node& node = At(index);
  State& state = Of(index);
  auto slot = node.parent == 0 ? backend_.Allocate(state.capacity)
                               : backend_.Fork(Of(node.parent).slot, state.capacity);
  H1_RETURN_IF_ERROR(slot.status());
  state.slot = *slot;
  if (node.parent != 0) ++stats_.forks;
  if (node.junction()) open_.emplace(state.need, state.bytes);
  used_bytes_ += state.bytes;
  peak_bytes_ = std::max(peak_bytes_, used_bytes_);
  stats_.peak_slots = std::max(stats_.peak_slots, ++slots_);
  return Status::Ok();
}

/// The node's next tokens, as many as the limits allow, with the rows that lie on them.
void Scheduler::AddChunk(std::int32_t index, SlotId slot, bool keep, Batch& batch) {
  const Node& node = At(index);
  State& state = Of(index);
  std::int64_t tokens =
      std::min({limits_.prefill_chunk, node.end - state.position, batch.tokens_left});
  const auto row = std::ranges::lower_bound(node.rows, state.position, {}, &Row::position);
  Item item{.node = index, .first_row = static_cast<std::size_t>(row - node.rows.begin())};
  Segment segment{slot, {}, {}, keep};
  for (auto it = row; it != node.rows.end() && it->position < state.position + tokens; ++it) {
    if (batch.rows_left <= static_cast<std::int64_t>(segment.rows.size())) {
      tokens = it->position - state.position;  // the first row always fits
      break;
    }
    segment.rows.push_back(
        {static_cast<std::int32_t>(it->position - state.position), it->targets, nullptr});
    if (it->bf16) {
      batch.logits.emplace_back(static_cast<std::size_t>(backend_.shape().vocab));
      segment.rows.back().full = batch.logits.back().data();
    }
    ++item.rows;
  }
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
  for (std::int32_t request : node.requests) listener_.OnStart(request, now);
  state.position += tokens;
  batch.tokens_left -= tokens;
  batch.rows_left -= static_cast<std::int64_t>(segment.rows.size());
  --batch.segments_left;
  batch.segments.push_back(std::move(segment));
  batch.items.push_back(item);
}

Status Scheduler::Forward(Batch& batch) {
  const auto decodes = std::ranges::count(batch.items, true, &Item::decode);
  const Phase phase = decodes == 0                         ? Phase::kPrefill
                      : decodes == std::ssize(batch.items) ? Phase::kDecode
                                                           : Phase::kMixed;
  listener_.OnForward(phase);
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
  std::erase_if(decoding_, [this](std::int32_t node) { return GenerationOf(node).done(); });
  return Status::Ok();
}

void Scheduler::DeliverRow(const Row& row, const RowQuery& query, const RowResult& result,
                           Listener::Time now) {
  std::optional<Bf16LogSoftmax> rounded;
  if (row.bf16)
    rounded.emplace(std::span(query.full, static_cast<std::size_t>(backend_.shape().vocab)));
  for (std::size_t k = 0; k < row.wanted.size(); ++k) {
    const Wanted& wanted = row.wanted[k];
    const std::int32_t id = row.targets[k];
    if (wanted.bf16)
      listener_.OnLogProb(wanted, rounded->LogProb(id), rounded->argmax() == id, now);
    else
      listener_.OnLogProb(wanted, static_cast<double>(result.target_logits[k]) - result.log_sum_exp,
                          result.argmax == id, now);
  }
}

void Scheduler::Deliver(const Item& item, const Segment& segment, std::span<RowResult> results,
                        Listener::Time now) {
  const Node& node = At(item.node);
  State& state = Of(item.node);
  if (item.decode) {
    Generation& generation = GenerationOf(item.node);
    generation.Step(results[0], state.logits);
    listener_.OnToken(node.generates, now);
    if (generation.done()) EndGeneration(item.node, now);
    return;
  }
  for (std::size_t i = 0; i < item.rows; ++i)
    DeliverRow(node.rows[item.first_row + i], segment.rows[i], results[i], now);
  if (item.last_merged || item.extra) state.last = std::move(results.back());
  if (state.position == node.end) FinishNode(item.node, now);
}

/// All tokens of the node are computed.
void Scheduler::FinishNode(std::int32_t index, Listener::Time now) {
  const Node& node = At(index);
  State& state = Of(index);
  running_.erase(rank_[static_cast<std::size_t>(index)]);
  if (node.generates >= 0) {
    StartGeneration(index, state.last, state.logits, now);
  } else if (node.junction()) {
    for (std::int32_t child : node.children) ready_.insert(rank_[static_cast<std::size_t>(child)]);
  } else if (state.slot != kNoSlot) {
    ReleaseSlot(index);
  } else {
    ReleaseUser(node.parent);
  }
}

void Scheduler::StartGeneration(std::int32_t index, const RowResult& row,
                                std::span<const float> logits, Listener::Time now) {
  Generation& generation = GenerationOf(index);
  generation.Step(row, logits);
  listener_.OnPrefilled(At(index).generates, now);
  if (generation.done()) return EndGeneration(index, now);
  if (generation.samples())
    Of(index).logits.resize(static_cast<std::size_t>(backend_.shape().vocab));
  decoding_.push_back(index);
}

void Scheduler::EndGeneration(std::int32_t index, Listener::Time now) {
  --generating_;
  ReleaseSlot(index);
  listener_.OnGenerated(At(index).generates, GenerationOf(index), now);
}

void Scheduler::ReleaseSlot(std::int32_t index) {
  State& state = Of(index);
  backend_.Release(state.slot);
  state.slot = kNoSlot;
  std::vector<float>().swap(state.logits);
  used_bytes_ -= state.bytes;
  --slots_;
  if (At(index).junction()) open_.erase(open_.find({state.need, state.bytes}));
}

void Scheduler::ReleaseUser(std::int32_t junction) {
  if (--Of(junction).users == 0) ReleaseSlot(junction);
}

}  // namespace h1bench::engine

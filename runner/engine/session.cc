#include "runner/engine/session.h"

#include <algorithm>
#include <utility>

namespace h1bench::engine {

PlanOptions PlanOptionsFor(const EngineOptions& options, std::int64_t slot_bytes_limit,
                           std::function<std::int64_t(std::int64_t tokens)> slot_bytes) {
  PlanOptions out;
  out.share = options.prefix_reuse;
  out.slot_bytes_limit = slot_bytes_limit;
  out.slot_bytes = std::move(slot_bytes);
  return out;
}

Flight::Flight(EngineWork work, const EngineParts& parts, Listener::Time start)
    : batch_(static_cast<Batch*>(work.batch.release())),
      done_(std::move(work.done)),
      parts_(parts),
      start_(start),
      answered_(batch_->requests.size(), false) {
  answer_ = [this](std::size_t index, EngineResponse response) {
    answered_[index] = true;
    return done_(std::move(response));
  };
}

void Flight::Begin() {
  job_.reset();
  generations_.clear();
  generations_.reserve(batch_->requests.size());
  for (const EngineRequest& request : batch_->requests)
    generations_.emplace_back(request, parts_.tokenizer.get(), parts_.eos_ids);
  collector_.emplace(batch_->requests, batch_->prepared, batch_->plan, start_, answer_);
  job_.emplace(batch_->plan, generations_, *collector_);
  for (std::size_t i = 0; i < answered_.size(); ++i)
    if (!answered_[i] && !batch_->prepared[i].status.ok())
      collector_->Refuse(i, batch_->prepared[i].status);
}

void Flight::PlanAgain(const PlanOptions& options) {
  job_.reset();
  for (std::size_t i = 0; i < answered_.size(); ++i)
    if (answered_[i]) batch_->prepared[i].status = {StatusCode::kCancelled, "answered"};
  batch_->plan = BuildPlan(batch_->prepared, options);
  batch_->slot_bytes_limit = options.slot_bytes_limit;
}

std::int64_t Flight::longest() const {
  std::int64_t longest = 1;
  for (const Node& node : batch_->plan.nodes) longest = std::max(longest, node.max_tokens);
  return longest;
}

void Session::MakeScheduler() {
  if (scheduler_ != nullptr) peak_bytes_ = peak_slot_bytes();
  const SchedulerLimits limits{context_.options.max_batch, context_.options.prefill_chunk,
                               context_.slot_bytes_limit, context_.slot_bytes};
  scheduler_ = std::make_unique<Scheduler>(*context_.parts.backend, context_.clock, limits,
                                           context_.options.on_forward, context_.stats);
}

std::int64_t Session::peak_slot_bytes() const {
  return std::max(peak_bytes_, scheduler_->peak_slot_bytes());
}

PlanOptions Session::MakePlanOptions() const {
  return PlanOptionsFor(context_.options, context_.slot_bytes_limit, context_.slot_bytes);
}

bool Session::TakeUp(const WorkSource& source, bool idle) {
  EngineWork work = source(idle);
  if (work.batch == nullptr) return false;
  flights_.push_back(
      std::make_unique<Flight>(std::move(work), context_.parts, context_.clock.Steady()));
  Flight& flight = *flights_.back();
  context_.stats.prepare_seconds += flight.batch().seconds;
  // It was planned for all the memory, and the device turned out to have less.
  if (flight.batch().slot_bytes_limit != context_.slot_bytes_limit)
    flight.PlanAgain(MakePlanOptions());
  context_.stats.sequence_tokens += flight.batch().plan.sequence_tokens;
  longest_ = std::max(longest_, flight.longest());
  flight.Begin();
  scheduler_->Add(flight.job());
  return true;
}

void Session::RemoveFinished() {
  std::erase_if(flights_, [this](const std::unique_ptr<Flight>& flight) {
    const bool ended = flight->cancelled() || flight->job().done();
    if (ended) scheduler_->Remove(flight->job());
    return ended;
  });
}

Status Session::Run(const WorkSource& source) {
  while (true) {
    RemoveFinished();
    if (flights_.empty()) {
      if (!TakeUp(source, true)) return Status::Ok();
      continue;
    }
    const Status status = scheduler_->Step([&] { return TakeUp(source, false); });
    const MemoryPlan now = context_.parts.backend->MemoryUsed();
    if (now.total() > context_.used.total()) context_.used = now;
    if (status.code() == StatusCode::kResourceExhausted)
      H1_RETURN_IF_ERROR(GoOnWithLess(status));
    else
      H1_RETURN_IF_ERROR(status);
  }
}

/// The device has less memory than planned: what is not answered begins anew with half of it.
Status Session::GoOnWithLess(const Status& failed) {
  ++context_.stats.out_of_memory;
  for (const std::unique_ptr<Flight>& flight : flights_) scheduler_->Remove(flight->job());
  std::int64_t least = 0;
  for (const std::unique_ptr<Flight>& flight : flights_)
    least = std::max(least, context_.slot_bytes(flight->longest()));
  if (context_.slot_bytes_limit <= least) return failed;
  context_.slot_bytes_limit = std::max(least, context_.slot_bytes_limit / 2);
  MakeScheduler();
  for (const std::unique_ptr<Flight>& flight : flights_) {
    flight->PlanAgain(MakePlanOptions());
    flight->Begin();
    scheduler_->Add(flight->job());
  }
  return Status::Ok();
}

}  // namespace h1bench::engine

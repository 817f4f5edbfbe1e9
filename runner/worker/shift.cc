#include "runner/worker/shift.h"

#include <thread>
#include <utility>

namespace h1bench {
namespace {

/// Leases made ready and not begun, at most: they are kept from other workers.
constexpr std::size_t kMostAhead = 3;

}  // namespace

Status HandIn(CoordinatorClient& client, Life& life, const v1::SubmitRequest& answers) {
  auto wait = std::chrono::milliseconds(100);
  while (true) {
    const Status status = client.Submit(answers);
    if (status.ok()) life.Heard();
    if (status.code() != StatusCode::kUnavailable &&
        status.code() != StatusCode::kResourceExhausted)
      return status;
    if (life.Lost(answers.lease_id())) return FailedPrecondition("the lease was lost");
    std::this_thread::sleep_for(wait);
    wait = std::min(wait * 2, std::chrono::milliseconds(1'000));
  }
}

bool IsStale(const Status& submitted) {
  return submitted.code() == StatusCode::kFailedPrecondition ||
         submitted.code() == StatusCode::kNotFound;
}

Shift::Shift(const Context& context)
    : context_(context), outbox_([this](Parcel& parcel) { return Send(parcel); }) {}

Status Shift::Run(v1::LeaseResponse first) {
  first_ = MakeReady(std::move(first), 0);
  context_.watch.Spend(context_.times.wait);
  ahead_ = std::make_unique<Ahead<HeldLease>>(
      [this] { return AskAhead(); }, [](const HeldLease& lease) { return lease.batch->tokens(); },
      context_.enough, kMostAhead);
  if (context_.telemetry != nullptr) context_.telemetry->Resume();
  const Status ran = context_.engine.Serve([this](bool idle) { return NextWork(idle); });
  if (context_.telemetry != nullptr) context_.telemetry->Pause();
  context_.watch.Spend(context_.times.engine);
  ahead_.reset();
  for (const std::unique_ptr<HeldLease>& lease : in_hand_)
    if (!lease->empty() && !context_.life.Lost(lease->id())) Flush(*lease, false);
  const Status submitted = outbox_.Close();
  context_.life.LetGoOfAll();
  H1_RETURN_IF_ERROR(ran);
  return submitted;
}

std::unique_ptr<HeldLease> Shift::MakeReady(v1::LeaseResponse lease, int threads) {
  auto held = std::make_unique<HeldLease>(std::move(lease), context_.envelope);
  held->batch = context_.engine.Prepare(held->TakeRequests(), threads);
  return held;
}

/// Null where there is none now; who asks with nothing in hand is told why.
std::unique_ptr<HeldLease> Shift::AskAhead() {
  if (context_.life.Leaving()) return nullptr;
  v1::LeaseRequest ask = context_.ask;
  const std::vector<std::int64_t> held = context_.life.held();
  if (held.empty()) return nullptr;
  ask.mutable_held_lease_ids()->Add(held.begin(), held.end());
  v1::LeaseResponse lease;
  const Status status = context_.client.Lease(ask, lease);
  if (status.ok()) context_.life.Heard();
  if (!status.ok() || lease.lease_id() == 0) return nullptr;
  if (lease.variant().id() != ask.loaded_variant()) return nullptr;  // never given ahead
  context_.life.Hold(lease.lease_id());
  return MakeReady(std::move(lease), context_.threads);
}

EngineWork Shift::NextWork(bool idle) {
  std::unique_ptr<HeldLease> next = std::move(first_);
  if (next == nullptr && !refused_ && !context_.life.Leaving()) {
    if (idle) context_.watch.Spend(context_.times.engine);
    do {
      next = ahead_->Take(idle);
    } while (next != nullptr && context_.life.Lost(next->id()));
    if (idle) context_.watch.Spend(context_.times.wait);
  }
  if (next == nullptr) return {};
  in_hand_.push_back(std::move(next));
  HeldLease& lease = *in_hand_.back();
  return {std::move(lease.batch),
          [this, &lease](const EngineResponse& response) { return Answer(lease, response); }};
}

/// False: the lease is handed in, or no longer wanted.
bool Shift::Answer(HeldLease& lease, const EngineResponse& response) {
  lease.Add(response);
  if (lease.complete()) {
    if (!context_.life.Lost(lease.id())) Flush(lease, true);
    in_hand_.remove_if([&](const std::unique_ptr<HeldLease>& one) { return one.get() == &lease; });
    return false;
  }
  const bool taken = !lease.due(std::chrono::steady_clock::now()) || Flush(lease, false);
  return taken && !context_.life.Lost(lease.id()) && !context_.life.Leaving();
}

bool Shift::Flush(HeldLease& lease, bool last) {
  refused_ =
      !outbox_.Put({lease.TakeAnswers(last, std::chrono::steady_clock::now()), UsageNow()}) ||
      refused_;
  return !refused_;
}

/// In the outbox's thread. A lease that is not ours any more does not stop the others.
Status Shift::Send(Parcel& parcel) {
  parcel.answers.set_memory_json(UsageJson(parcel.usage, context_.telemetry));
  const auto start = std::chrono::steady_clock::now();
  const Status sent = HandIn(context_.client, context_.life, parcel.answers);
  submit_microseconds_ += std::chrono::duration_cast<std::chrono::microseconds>(
                              std::chrono::steady_clock::now() - start)
                              .count();
  const std::int64_t lease = parcel.answers.lease_id();
  if (IsStale(sent)) {
    context_.life.Lose(lease);
    return Status::Ok();
  }
  if (sent.ok() && parcel.answers.last()) context_.life.LetGo(lease);
  return sent;
}

Usage Shift::UsageNow() {
  context_.watch.Spend(context_.times.engine);
  context_.times.submit += static_cast<double>(submit_microseconds_.exchange(0)) / 1e6;
  return {context_.engine.used_memory(), context_.engine.stats(), context_.times};
}

}  // namespace h1bench

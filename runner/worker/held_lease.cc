#include "runner/worker/held_lease.h"

#include <utility>

#include "runner/worker/worker.h"

namespace h1bench {
namespace {

constexpr int kFlushResponses = 512;  // each submit waits for the coordinator's disk
constexpr std::chrono::milliseconds kFlushAfter{1'000};  // what a kill -9 may cost
constexpr std::size_t kFlushBytes = 1 << 20;

}  // namespace

HeldLease::HeldLease(v1::LeaseResponse lease, v1::SubmitRequest envelope)
    : lease_(std::move(lease)),
      envelope_(std::move(envelope)),
      unanswered_(lease_.requests_size()),
      taken_(std::chrono::steady_clock::now()) {
  envelope_.set_lease_id(lease_.lease_id());
  envelope_.set_attempt(lease_.attempt());
  answers_ = envelope_;
}

std::vector<EngineRequest> HeldLease::TakeRequests() {
  std::vector<EngineRequest> requests;
  for (v1::Request& request : *lease_.mutable_requests()) {
    requests.push_back(FromWire(request, static_cast<std::int64_t>(requests.size())));
    std::string().swap(*request.mutable_context());
  }
  return requests;
}

void HeldLease::Add(const EngineResponse& response) {
  v1::Response& wire = *answers_.add_responses();
  wire = ToWire(lease_.requests(static_cast<int>(response.tag)), response);
  bytes_ += wire.ByteSizeLong();
  --unanswered_;
}

bool HeldLease::due(Time now) const {
  return answers_.responses_size() >= kFlushResponses || bytes_ >= kFlushBytes ||
         now - taken_ >= kFlushAfter;
}

v1::SubmitRequest HeldLease::TakeAnswers(bool last, Time now) {
  v1::SubmitRequest answers = std::exchange(answers_, envelope_);
  answers.set_last(last);
  bytes_ = 0;
  taken_ = now;
  return answers;
}

}  // namespace h1bench

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "proto/h1bench.pb.h"
#include "runner/engine/engine.h"

namespace h1bench {

/// A lease that the worker works on: what is asked, and the answers that were not handed in yet.
class HeldLease {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// `envelope`: what every Submit of this worker says; lease and attempt are added.
  HeldLease(v1::LeaseResponse lease, v1::SubmitRequest envelope);

  std::int64_t id() const { return lease_.lease_id(); }
  /// For the engine, with places as tags. The prompts' texts leave the lease.
  std::vector<EngineRequest> TakeRequests();
  /// The requests, once they are made ready.
  std::unique_ptr<EngineBatch> batch;

  void Add(const EngineResponse& response);
  /// Every request is answered.
  bool complete() const { return unanswered_ == 0; }
  /// Enough answers wait, or long enough.
  bool due(Time now) const;
  bool empty() const { return answers_.responses_size() == 0; }
  /// The answers that wait.
  v1::SubmitRequest TakeAnswers(bool last, Time now);

 private:
  v1::LeaseResponse lease_;
  v1::SubmitRequest envelope_, answers_;
  std::int64_t unanswered_ = 0;
  std::size_t bytes_ = 0;  // of answers_
  Time taken_;             // the last answers
};

}  // namespace h1bench

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>

#include "base/status.h"
#include "proto/h1bench.pb.h"
#include "runner/engine/engine.h"
#include "runner/worker/ahead.h"
#include "runner/worker/client.h"
#include "runner/worker/held_lease.h"
#include "runner/worker/life.h"
#include "runner/worker/outbox.h"
#include "runner/worker/telemetry.h"
#include "runner/worker/usage.h"

namespace h1bench {

/// Seconds since the last call, to whatever account they belong.
class StopWatch {
 public:
  void Restart() { since_ = std::chrono::steady_clock::now(); }
  void Spend(double& account) {
    const auto now = std::chrono::steady_clock::now();
    account += std::chrono::duration<double>(now - since_).count();
    since_ = now;
  }

 private:
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
};

/// Repeats until it is acknowledged or refused, or the lease is lost.
Status HandIn(CoordinatorClient& client, Life& life, const v1::SubmitRequest& answers);
/// A lease that is not ours any more is no failure: somebody else answers it.
bool IsStale(const Status& submitted);

/// Work with a loaded engine, from one lease until there is no other to go on with. While the
/// engine computes, one thread gets the next leases and makes them ready, another hands answers in.
class Shift {
 public:
  struct Context {
    CoordinatorClient& client;
    Life& life;
    Engine& engine;
    v1::SubmitRequest envelope;  // what every Submit says
    v1::LeaseRequest ask;        // what every Lease says: who asks, with what loaded
    int threads = 1;             // for making requests ready beside the engine
    std::int64_t enough = 0;     // tokens made ready ahead
    Telemetry* telemetry = nullptr;
    WorkTimes& times;  // since the variant was loaded; grows
    StopWatch& watch;  // stands at the end of what is in `times`
  };
  explicit Shift(const Context& context);

  /// `first` must be held by `life`. Ok when all is handed in, or not ours any more.
  Status Run(v1::LeaseResponse first);

 private:
  struct Parcel {
    v1::SubmitRequest answers;
    Usage usage;
  };

  std::unique_ptr<HeldLease> MakeReady(v1::LeaseResponse lease, int threads);
  std::unique_ptr<HeldLease> AskAhead();
  EngineWork NextWork(bool idle);
  bool Answer(HeldLease& lease, const EngineResponse& response);
  bool Flush(HeldLease& lease, bool last);
  Status Send(Parcel& parcel);
  Usage UsageNow();

  Context context_;
  std::atomic<std::int64_t> submit_microseconds_{0};
  bool refused_ = false;  // the coordinator takes no answers of this worker
  std::unique_ptr<HeldLease> first_;
  std::list<std::unique_ptr<HeldLease>> in_hand_;  // taken up by the engine, not all answered
  Outbox<Parcel> outbox_;
  std::unique_ptr<Ahead<HeldLease>> ahead_;  // while the engine serves
};

}  // namespace h1bench

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "harness/coordinator/leases.h"
#include "harness/coordinator/progress.h"
#include "harness/coordinator/scorer.h"
#include "harness/coordinator/shards.h"
#include "harness/store/store.h"
#include "proto/h1bench.pb.h"

namespace h1bench {

struct CoordinatorOptions {
  std::chrono::milliseconds lease_ttl{30'000};
  std::chrono::milliseconds heartbeat{5'000};
  std::int64_t expected_workers = 4;  // sizes the shards
  bool finish_when_idle = true;       // workers are told to exit when no run is left
};

/// A Lease call that may wait. `respond` is called exactly once; `cancelled` says that nobody
/// listens any more.
struct LeaseCall {
  v1::LeaseRequest request;
  std::function<void(Status, v1::LeaseResponse)> respond;
  std::function<bool()> cancelled = [] { return false; };
};

/// Everything the coordinator decides, without threads or network: one thread calls it (the
/// executor), a Clock tells the time, Tick() makes time pass. At-least-once execution, exactly-once
/// accounting: an answer counts when the store has committed it under a live lease, and not
/// otherwise.
class Coordinator {
 public:
  /// `score` gets every response that is to be scored; the result comes back through AddScore.
  Coordinator(Store& store, Clock& clock, const CoordinatorOptions& options,
              std::function<void(ScoreJob)> score);

  /// Leases out what a stored run still lacks. `identity`: which engine may answer
  /// (RegisterRequest.identity).
  /// `estimate`: what it is expected to take; may be empty.
  Status StartRun(std::int64_t run, const std::string& identity,
                  std::shared_ptr<const TaskSet> tasks, const RunEstimate& estimate = {});
  Status CancelRun(std::int64_t run);

  Status Register(const v1::RegisterRequest& request, v1::RegisterResponse& response);
  void AskLease(LeaseCall call);
  Status Heartbeat(const v1::HeartbeatRequest& request, v1::HeartbeatResponse& response);
  Status Submit(const v1::SubmitRequest& request);
  Status Drain(const v1::DrainRequest& request);

  /// Somebody saw the worker's process end: its leases are lost now, not after their time.
  void WorkerLost(const std::string& worker);
  void AddScore(const ScoreResult& result);
  /// Expires leases, saves scores, answers polls whose wait is over, finishes runs. Call it a few
  /// times a second.
  void Tick();
  /// Answers every waiting poll; nothing is leased afterwards.
  void Shutdown();

  /// 0: the newest run.
  Result<v1::RunProgress> Progress(std::int64_t run);
  Result<v1::ListRunsResponse> ListRuns();
  bool idle() const { return active_.empty(); }
  /// The first failure of the store. The process must end then: what cannot be written must not be
  /// acknowledged.
  const Status& fatal() const { return fatal_; }
  /// Workers that were refused or left on their own account, and why; newest last.
  const std::vector<std::string>& failures() const { return failures_; }
  std::int64_t workers_alive() const;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Worker {
    std::string incarnation, environment_json, identity;
    Time last_seen{};
    std::set<std::int64_t> recorded_in;  // runs whose workers table has this incarnation
    std::set<std::int64_t> probed;       // variants that it computes as others do
  };
  struct Run {
    std::int64_t id = 0;
    v1::RunProgress description;  // as DescribeRun() gives it
    std::string identity;
    std::shared_ptr<const TaskSet> tasks;
    std::map<std::int64_t, VariantRow> variants;
    ShardLimits limits;
    ShardQueue queue;
    ProgressCounter progress;
    std::int64_t scoring = 0;       // jobs on their way
    std::vector<ScoreRow> unsaved;  // that came back, saved with the next ones or at a tick
    Time unsaved_since{};
    std::set<std::int64_t> cannot_score;  // samples with an error, poisoned, or without a document
    std::int64_t poisoned = 0;
    std::vector<FailureRow> failures;
    Time started{};
    double first_lease_seconds = -1;  // after `started`
  };
  struct Parked {
    LeaseCall call;
    Time until;
  };

  /// Remembers store failures other than a refused lease.
  Status Keep(Status status);
  Status CheckWorker(const std::string& name, const std::string& incarnation,
                     Worker** worker = nullptr);
  /// The worker's engine gives the bits that the first one of its identity gave; otherwise it is
  /// thrown out.
  Status CheckProbe(const v1::SubmitRequest& request, Worker& worker, const Lease& lease);
  /// Remembers, and stores with every run that is being worked on, why a worker does not work.
  Status NoteFailure(const FailureRow& failure);
  bool TryLease(LeaseCall& call);
  /// Work of this run for who asks, or nothing.
  std::optional<Shard> TakeShard(Run& run, const v1::LeaseRequest& request);
  Result<v1::LeaseResponse> Grant(Run& run, Shard shard, const std::string& name, Worker& worker);
  void ServeParked();
  void Revoke(std::int64_t lease, bool lost);
  void RevokeAllOf(const std::string& worker, bool lost);
  Status Requeue(Run& run);
  Status ScoreUnscored(Run& run);
  void ScoreSample(Run& run, const SampleRow& sample, const ResponseRow& response);
  Status SaveScores(Run& run);
  /// Ends the run when nothing is left to do; looks again in the store first.
  void FinishIfDone(Run& run);
  double Elapsed(const Run& run) const;
  std::vector<ProgressCounter::InFlight> InFlightOf(const Run& run);

  Store& store_;
  Clock& clock_;
  CoordinatorOptions options_;
  std::function<void(ScoreJob)> score_;
  LeaseTable leases_;
  std::map<std::string, Worker> workers_;
  std::map<std::int64_t, std::unique_ptr<Run>> active_;
  std::list<Parked> parked_;
  std::vector<std::string> failures_;
  std::vector<FailureRow> unrecorded_;  // failures before there was a run to store them with
  std::set<std::string> refused_;       // incarnations; a call may come twice
  Status fatal_;
  bool started_ = false, shut_down_ = false;
};

}  // namespace h1bench

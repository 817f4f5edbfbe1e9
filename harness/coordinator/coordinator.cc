#include "harness/coordinator/coordinator.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "harness/coordinator/messages.h"
#include "harness/coordinator/request.h"
#include "harness/coordinator/run_list.h"
#include "harness/store/failpoint.h"

namespace h1bench {
namespace {

constexpr std::chrono::milliseconds kLongestPoll{20'000};
/// Scores saved in one transaction, at most: a transaction each would be a wait for the disk each.
/// Those not saved yet when the process dies are made again from the stored responses.
constexpr std::size_t kScoresAtOnce = 2048;
constexpr std::chrono::milliseconds kSaveScoresAfter{250};

double Seconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

void AddFailures(const std::vector<FailureRow>& failures, v1::RunProgress& out) {
  for (const FailureRow& failure : failures)
    out.add_failures(failure.worker + ": " + failure.reason);
}

}  // namespace

Coordinator::Coordinator(Store& store, Clock& clock, const CoordinatorOptions& options,
                         std::function<void(ScoreJob)> score)
    : store_(store),
      clock_(clock),
      options_(options),
      score_(std::move(score)),
      leases_(clock, options.lease_ttl) {}

Status Coordinator::Keep(Status status) {
  if (!status.ok() && status.code() != StatusCode::kFailedPrecondition && fatal_.ok())
    fatal_ = status;
  return status;
}

// --- runs ---

Status Coordinator::StartRun(std::int64_t id, const std::string& identity,
                             std::shared_ptr<const TaskSet> tasks, const RunEstimate& estimate) {
  if (active_.count(id) > 0) return Status::Ok();
  H1_RETURN_IF_ERROR(Keep(store_.RevokeAllLeases(id)));
  H1_RETURN_IF_ERROR(Keep(Failpoint("start", ".leases_revoked")));
  auto run = std::make_unique<Run>();
  run->id = id;
  run->identity = identity;
  run->tasks = std::move(tasks);
  run->started = clock_.Steady();
  H1_ASSIGN_OR_RETURN(const NamedRun named,
                      FindRun(store_, std::to_string(id), "the coordinator's database"));
  run->description = DescribeRun(named);
  H1_ASSIGN_OR_RETURN(const std::vector<VariantRow> variants, store_.Variants(id));
  for (const VariantRow& variant : variants) run->variants[variant.id] = variant;
  H1_ASSIGN_OR_RETURN(const std::vector<SampleRow> pending, store_.PendingSamples(id));
  run->limits = ChooseLimits(pending, options_.expected_workers);
  H1_ASSIGN_OR_RETURN(std::vector<Shard> shards,
                      BuildShards(pending, run->limits, StoredPrompts(store_)));
  run->queue.Add(std::move(shards));
  H1_RETURN_IF_ERROR(Keep(run->progress.Scan(store_, id)));
  run->progress.Expect(estimate, run->started);
  H1_ASSIGN_OR_RETURN(const std::vector<std::int64_t> poisoned, store_.PoisonedSamples(id));
  run->poisoned = static_cast<std::int64_t>(poisoned.size());
  H1_RETURN_IF_ERROR(Keep(ScoreUnscored(*run)));
  for (const FailureRow& failure : unrecorded_)
    H1_RETURN_IF_ERROR(Keep(store_.RecordFailure(id, failure)));
  unrecorded_.clear();
  H1_ASSIGN_OR_RETURN(run->failures, store_.Failures(id));
  H1_RETURN_IF_ERROR(Keep(Failpoint("start", ".queued")));
  active_[id] = std::move(run);
  started_ = true;
  ServeParked();
  return Status::Ok();
}

Status Coordinator::CancelRun(std::int64_t id) {
  const auto found = active_.find(id);
  if (found == active_.end()) {
    const Result<RunRow> run = store_.GetRun(id);
    if (run.ok() && run->state == "cancelled") return Status::Ok();  // the first answer got lost
    return NotFound("run {} is not being worked on here", id);
  }
  H1_RETURN_IF_ERROR(SaveScores(*found->second));
  for (const std::int64_t lease : leases_.OfRun(id)) {
    leases_.Remove(lease);
    H1_RETURN_IF_ERROR(Keep(store_.RevokeLease(lease, false).status()));
  }
  H1_RETURN_IF_ERROR(
      Keep(store_.FinishRun(id, "cancelled", Elapsed(*found->second), clock_.WallUnixMillis())));
  active_.erase(found);
  return Status::Ok();
}

Status Coordinator::Requeue(Run& run) {
  H1_ASSIGN_OR_RETURN(const std::vector<SampleRow> pending, store_.PendingSamples(run.id));
  H1_ASSIGN_OR_RETURN(std::vector<Shard> shards,
                      BuildShards(pending, run.limits, StoredPrompts(store_)));
  run.queue.Clear();
  run.queue.Add(std::move(shards));
  return Status::Ok();
}

Status Coordinator::ScoreUnscored(Run& run) {
  return store_.ForEachUnscored(run.id, kScorerVersion,
                                [&](const SampleRow& sample, const ResponseRow* response) {
                                  if (response == nullptr) {
                                    run.cannot_score.insert(sample.id);
                                  } else if (run.cannot_score.count(sample.id) == 0) {
                                    ScoreSample(run, sample, *response);
                                  }
                                  return Status::Ok();
                                });
}

void Coordinator::ScoreSample(Run& run, const SampleRow& sample, const ResponseRow& response) {
  if (!response.error.empty()) {  // no answer is no score: a wrong number is worse than none
    run.cannot_score.insert(sample.id);
    return;
  }
  ++run.scoring;
  score_({run.id, sample.id, sample.run_task_id, sample.variant_id, sample.index, sample.subset,
          ToTask(response), run.tasks});
}

void Coordinator::AddScore(const ScoreResult& result) {
  const auto found = active_.find(result.run);
  if (found == active_.end()) return;
  Run& run = *found->second;
  --run.scoring;
  if (!result.score) {
    run.cannot_score.insert(result.sample_id);
    return;
  }
  if (run.unsaved.empty()) run.unsaved_since = clock_.Steady();
  run.unsaved.push_back(*result.score);
  if (run.unsaved.size() >= kScoresAtOnce || shut_down_) (void)SaveScores(run);
}

Status Coordinator::SaveScores(Run& run) {
  if (run.unsaved.empty()) return Status::Ok();
  const std::vector<ScoreRow> scores = std::exchange(run.unsaved, {});
  H1_RETURN_IF_ERROR(Keep(store_.InsertScores(scores)));
  for (const ScoreRow& score : scores) run.progress.Scored(score.sample_id, score);
  return Status::Ok();
}

void Coordinator::FinishIfDone(Run& run) {
  const bool done = run.queue.empty() && run.scoring == 0 && leases_.OfRun(run.id).empty();
  const bool save = done || clock_.Steady() - run.unsaved_since >= kSaveScoresAfter;
  if (save && !SaveScores(run).ok()) return;
  if (!done) return;
  const auto look_again = [&]() -> Status {
    H1_RETURN_IF_ERROR(Requeue(run));
    H1_RETURN_IF_ERROR(ScoreUnscored(run));
    if (!run.queue.empty() || run.scoring > 0) return Status::Ok();
    return store_.FinishRun(run.id, "finished", Elapsed(run), clock_.WallUnixMillis());
  };
  if (!Keep(look_again()).ok()) return;
  if (run.queue.empty() && run.scoring == 0) active_.erase(run.id);
}

std::vector<ProgressCounter::InFlight> Coordinator::InFlightOf(const Run& run) {
  std::vector<ProgressCounter::InFlight> out;
  std::set<std::string> busy;
  for (const std::int64_t id : leases_.OfRun(run.id)) {
    const Lease& lease = *leases_.Find(id);
    // What a worker was given after its first lease waits for that.
    if (busy.insert(lease.worker).second) out.push_back({lease.since, &lease.remaining});
  }
  return out;
}

double Coordinator::Elapsed(const Run& run) const { return Seconds(clock_.Steady() - run.started); }

// --- workers ---

Status Coordinator::CheckWorker(const std::string& name, const std::string& incarnation,
                                Worker** worker) {
  if (!fatal_.ok()) return Unavailable("the coordinator is stopping: {}", fatal_.message());
  if (shut_down_) return Unavailable("the coordinator is shutting down");
  const auto found = workers_.find(name);
  if (found == workers_.end()) return NotFound("worker {} is not registered", name);
  if (found->second.incarnation != incarnation && !Planted(Bug::kNoIncarnationCheck)) {
    return FailedPrecondition(
        "another process registered as worker {}; give each worker its own --name", name);
  }
  found->second.last_seen = clock_.Steady();
  leases_.Renew(name);
  if (worker != nullptr) *worker = &found->second;
  return Status::Ok();
}

Status Coordinator::Register(const v1::RegisterRequest& request, v1::RegisterResponse& response) {
  H1_RETURN_IF_ERROR(CheckMessage(request));
  if (!fatal_.ok() || shut_down_) return Unavailable("the coordinator is stopping");
  if (!request.self_test_failure().empty()) {
    if (refused_.insert(request.incarnation()).second)
      H1_RETURN_IF_ERROR(NoteFailure({request.worker_name(), request.self_test_failure()}));
    return Corrupt("refused: {}", request.self_test_failure());
  }
  response.set_lease_ttl_ms(options_.lease_ttl.count());
  response.set_heartbeat_ms(options_.heartbeat.count());
  Worker& worker = workers_[request.worker_name()];
  worker.last_seen = clock_.Steady();
  if (worker.incarnation == request.incarnation()) return Status::Ok();  // the answer got lost
  RevokeAllOf(request.worker_name(), true);
  worker.incarnation = request.incarnation();
  worker.environment_json = request.environment_json();
  worker.identity = request.identity();
  worker.recorded_in.clear();
  worker.probed.clear();
  return Status::Ok();
}

Status Coordinator::Heartbeat(const v1::HeartbeatRequest& request,
                              v1::HeartbeatResponse& response) {
  H1_RETURN_IF_ERROR(CheckMessage(request));
  H1_RETURN_IF_ERROR(CheckWorker(request.worker_name(), request.incarnation()));
  for (const std::int64_t id : request.lease_ids()) {
    const Lease* lease = leases_.Find(id);
    if (lease == nullptr || lease->worker != request.worker_name()) response.add_lost_lease_ids(id);
  }
  return Status::Ok();
}

Status Coordinator::Drain(const v1::DrainRequest& request) {
  H1_RETURN_IF_ERROR(CheckMessage(request));
  H1_RETURN_IF_ERROR(CheckWorker(request.worker_name(), request.incarnation()));
  if (!request.failure().empty())
    H1_RETURN_IF_ERROR(NoteFailure({request.worker_name(), request.failure()}));
  RevokeAllOf(request.worker_name(), false);
  workers_.erase(request.worker_name());
  ServeParked();
  return Status::Ok();
}

void Coordinator::WorkerLost(const std::string& worker) {
  workers_.erase(worker);
  RevokeAllOf(worker, true);
  ServeParked();
}

Status Coordinator::NoteFailure(const FailureRow& failure) {
  failures_.push_back(failure.worker + ": " + failure.reason);
  // A worker that somebody starts again and again tells the same each time.
  const auto known = [&](const std::vector<FailureRow>& rows) {
    return std::ranges::any_of(rows, [&](const FailureRow& row) {
      return row.worker == failure.worker && row.reason == failure.reason;
    });
  };
  if (active_.empty() && !known(unrecorded_)) unrecorded_.push_back(failure);
  for (auto& [id, run] : active_) {
    if (known(run->failures)) continue;
    H1_RETURN_IF_ERROR(Keep(store_.RecordFailure(id, failure)));
    run->failures.push_back(failure);
  }
  return Status::Ok();
}

std::int64_t Coordinator::workers_alive() const {
  const auto since = clock_.Steady() - options_.lease_ttl;
  return std::count_if(workers_.begin(), workers_.end(),
                       [&](const auto& entry) { return entry.second.last_seen > since; });
}

// --- leases ---

void Coordinator::AskLease(LeaseCall call) {
  if (const Status status = CheckMessage(call.request); !status.ok()) {
    call.respond(status, {});
    return;
  }
  if (const Status status = CheckWorker(call.request.worker_name(), call.request.incarnation());
      !status.ok()) {
    call.respond(status, {});
    return;
  }
  // What it has here and does not name is a lease whose answer got lost: its heartbeats would keep
  // that for ever.
  const auto& held = call.request.held_lease_ids();
  for (const std::int64_t lease : leases_.OfWorker(call.request.worker_name())) {
    if (Planted(Bug::kLostLeaseKept) || std::ranges::find(held, lease) != held.end()) continue;
    Revoke(lease, false);
  }
  if (TryLease(call)) return;
  if (!held.empty()) {
    call.respond(Status::Ok(), {});
    return;
  }
  const auto wait = std::clamp(std::chrono::milliseconds(call.request.wait_ms()),
                               std::chrono::milliseconds(0), kLongestPoll);
  parked_.push_back({std::move(call), clock_.Steady() + wait});
}

bool Coordinator::TryLease(LeaseCall& call) {
  if (call.cancelled()) return true;
  Worker* worker = nullptr;
  const std::string& name = call.request.worker_name();
  if (const Status status = CheckWorker(name, call.request.incarnation(), &worker); !status.ok()) {
    call.respond(status, {});
    return true;
  }
  std::string refused;
  for (auto& [id, run] : active_) {
    if (run->queue.empty()) continue;
    if (run->identity != worker->identity) {
      refused = fmt::format(
          "run {} was planned for the engine \"{}\", this worker is \"{}\": its answers would not "
          "be the same bits",
          run->description.id(), run->identity, worker->identity);
      continue;
    }
    std::optional<Shard> shard = TakeShard(*run, call.request);
    if (!shard) continue;
    Result<v1::LeaseResponse> response = Grant(*run, *std::move(shard), name, *worker);
    call.respond(response.status(), response.ok() ? *response : v1::LeaseResponse());
    return true;
  }
  if (!refused.empty()) {
    call.respond(FailedPrecondition("{}", refused), {});
    return true;
  }
  if (!active_.empty() || !started_ || !options_.finish_when_idle) return false;
  v1::LeaseResponse finished;
  finished.set_finished(true);
  call.respond(Status::Ok(), finished);
  return true;
}

std::optional<Shard> Coordinator::TakeShard(Run& run, const v1::LeaseRequest& request) {
  if (request.held_lease_ids().empty()) return run.queue.Take(request.loaded_variant());
  const std::vector<std::int64_t> has = leases_.OfWorker(request.worker_name());
  const bool suspect =
      std::ranges::any_of(has, [&](std::int64_t lease) { return leases_.Find(lease)->suspect; });
  if (suspect || has.size() >= kMostLeases) return std::nullopt;
  return run.queue.TakeAhead(request.loaded_variant(), workers_alive());
}

Result<v1::LeaseResponse> Coordinator::Grant(Run& run, Shard shard, const std::string& name,
                                             Worker& worker) {
  if (worker.recorded_in.insert(run.id).second) {
    H1_RETURN_IF_ERROR(
        Keep(store_.RecordWorker(run.id, name, worker.incarnation, worker.environment_json)));
  }
  const Result<LeaseGrant> grant =
      store_.GrantLease(run.id, name, worker.incarnation, shard.samples);
  if (!grant.ok()) return Keep(grant.status());
  Lease lease;
  lease.id = grant->lease_id;
  lease.attempt = grant->attempt;
  lease.run = run.id;
  lease.worker = name;
  lease.suspect = shard.suspect;
  v1::LeaseResponse response;
  response.set_lease_id(lease.id);
  response.set_attempt(lease.attempt);
  const VariantRow& variant = run.variants[shard.variant_id];
  v1::Variant& wire = *response.mutable_variant();
  wire.set_id(variant.id);
  wire.set_path(variant.model_path);
  wire.set_model_digest(variant.model_digest);
  wire.set_precision(variant.precision);
  wire.set_max_length(variant.max_length);
  wire.set_identity(run.identity);
  for (const std::int64_t id : shard.samples) {
    Result<SampleRow> sample = store_.GetSample(id);
    if (!sample.ok()) return Keep(sample.status());
    Result<v1::Request> request = ToWire(*sample);
    if (!request.ok()) return Keep(request.status());
    *response.add_requests() = std::move(request).value();
    lease.remaining[id] = std::move(sample).value();
  }
  lease.since = clock_.Steady();
  leases_.Add(std::move(lease));
  if (run.first_lease_seconds < 0) run.first_lease_seconds = Elapsed(run);
  return response;
}

Status Coordinator::CheckProbe(const v1::SubmitRequest& request, Worker& worker,
                               const Lease& lease) {
  if (lease.remaining.empty()) return Status::Ok();
  const std::int64_t variant = lease.remaining.begin()->second.variant_id;
  if (worker.probed.count(variant) > 0) return Status::Ok();
  if (request.probe().empty())
    return InvalidArgument("Submit: probe: expected with the first answers for a variant");
  const ProbeRow mine{request.probe(), request.worker_name()};
  const Result<ProbeRow> first = store_.RecordProbe(variant, worker.identity, mine);
  if (!first.ok()) return Keep(first.status());
  if (first->digest == mine.digest) {
    worker.probed.insert(variant);
    return Status::Ok();
  }
  const std::string reason = fmt::format(
      "its engine answers the probes of variant {} with other bits ({:.16}) than worker {} did "
      "({:.16}), although both are \"{}\": one of the two machines computes wrongly",
      variant, mine.digest, first->worker, first->digest, worker.identity);
  H1_RETURN_IF_ERROR(NoteFailure({mine.worker, reason}));
  RevokeAllOf(mine.worker, false);
  workers_.erase(mine.worker);
  ServeParked();
  return Corrupt("refused: {}", reason);
}

Status Coordinator::Submit(const v1::SubmitRequest& request) {
  H1_RETURN_IF_ERROR(CheckMessage(request));
  Worker* worker = nullptr;
  H1_RETURN_IF_ERROR(CheckWorker(request.worker_name(), request.incarnation(), &worker));
  Lease* lease = leases_.Find(request.lease_id());
  if (lease == nullptr || lease->worker != request.worker_name()) {
    return FailedPrecondition("lease {} is no longer live", request.lease_id());
  }
  H1_RETURN_IF_ERROR(CheckProbe(request, *worker, *lease));
  std::vector<std::pair<std::int64_t, ResponseRow>> rows;
  for (const v1::Response& response : request.responses()) {
    const auto asked = lease->remaining.find(response.sample_id());
    if (asked != lease->remaining.end()) H1_RETURN_IF_ERROR(CheckAnswer(response, asked->second));
    rows.emplace_back(response.sample_id(), FromWire(response, request.worker_name()));
  }
  // The store checks the lease again in the transaction that inserts; what it returned OK for is on
  // disk.
  H1_RETURN_IF_ERROR(Keep(store_.SubmitResponses(lease->id, request.attempt(),
                                                 request.incarnation(), rows, request.last())));
  const auto found = active_.find(lease->run);
  if (found == active_.end()) return Status::Ok();
  Run& run = *found->second;
  for (const auto& [sample_id, row] : rows) {
    const auto sample = lease->remaining.find(sample_id);
    if (sample == lease->remaining.end()) continue;  // a repeated call
    run.progress.Answered(sample->second, row, clock_.Steady());
    ScoreSample(run, sample->second, row);
    if (!request.memory_json().empty() && sample_id == rows.back().first) {
      H1_RETURN_IF_ERROR(
          Keep(store_.RecordMemory(run.id, sample->second.variant_id,
                                   request.worker_name() + "#" + request.incarnation().substr(0, 8),
                                   request.memory_json())));
    }
    lease->remaining.erase(sample);
  }
  if (!rows.empty()) lease->since = clock_.Steady();
  if (request.last()) {
    std::vector<SampleRow> left;
    for (auto& [id, sample] : lease->remaining) left.push_back(std::move(sample));
    leases_.Remove(request.lease_id());
    for (const std::int64_t next : leases_.OfWorker(request.worker_name()))
      leases_.Find(next)->since = clock_.Steady();
    if (!left.empty()) run.queue.Add(BuildShards(left, run.limits));
    ServeParked();
  }
  return Keep(Failpoint("submit", ".before_ack"));
}

void Coordinator::RevokeAllOf(const std::string& worker, bool lost) {
  for (const std::int64_t lease : leases_.OfWorker(worker)) Revoke(lease, lost);
}

void Coordinator::Revoke(std::int64_t id, bool lost) {
  Lease lease = leases_.Remove(id);
  const Result<std::vector<std::int64_t>> poisoned = store_.RevokeLease(id, lost);
  if (!Keep(poisoned.status()).ok()) return;
  const auto found = active_.find(lease.run);
  if (found == active_.end()) return;
  Run& run = *found->second;
  for (const std::int64_t sample : *poisoned) {
    run.progress.GivenUp(lease.remaining[sample]);
    lease.remaining.erase(sample);
    run.cannot_score.insert(sample);
    ++run.poisoned;
  }
  std::vector<SampleRow> left;
  for (auto& [sample_id, sample] : lease.remaining) {
    if (lost) ++sample.losses;
    left.push_back(std::move(sample));
  }
  run.queue.Add(BuildShards(left, run.limits));
}

void Coordinator::ServeParked() {
  for (auto parked = parked_.begin(); parked != parked_.end();) {
    parked = TryLease(parked->call) ? parked_.erase(parked) : std::next(parked);
  }
}

void Coordinator::Tick() {
  // A run whose store fails is never done: it would be scored again and again, by a scorer that the
  // server is about to take down.
  if (!fatal_.ok() || shut_down_) return;
  if (!Keep(Failpoint("tick", "")).ok()) return;
  for (const std::int64_t lease : leases_.Expired()) Revoke(lease, true);
  std::vector<Run*> runs;
  for (auto& [id, run] : active_) runs.push_back(run.get());
  for (Run* run : runs) FinishIfDone(*run);
  // A waiting poll is no sign of life: only what a worker sends is. So its lease may end while it
  // waits for another.
  ServeParked();
  const Time now = clock_.Steady();
  for (auto parked = parked_.begin(); parked != parked_.end();) {
    if (parked->until > now) {
      ++parked;
      continue;
    }
    parked->call.respond(Status::Ok(), {});
    parked = parked_.erase(parked);
  }
}

void Coordinator::Shutdown() {
  shut_down_ = true;
  for (auto& [id, run] : active_) (void)SaveScores(*run);
  for (Parked& parked : parked_)
    parked.call.respond(Unavailable("the coordinator is shutting down"), {});
  parked_.clear();
}

// --- for people ---

Result<v1::RunProgress> Coordinator::Progress(std::int64_t id) {
  v1::RunProgress out;
  if (const auto found = active_.find(id); found != active_.end()) {
    out = found->second->description;
  } else {
    const std::string which = id == 0 ? "" : std::to_string(id);
    H1_ASSIGN_OR_RETURN(const NamedRun run, FindRun(store_, which, "the coordinator's database"));
    out = DescribeRun(run);
    id = run.row.id;
  }
  out.set_workers(workers_alive());
  if (const auto found = active_.find(id); found != active_.end()) {
    out.set_poisoned(found->second->poisoned);
    AddFailures(found->second->failures, out);
    out.set_elapsed_seconds(Elapsed(*found->second));
    out.set_first_lease_seconds(found->second->first_lease_seconds);
    found->second->progress.Describe(out, clock_.Steady(), InFlightOf(*found->second));
    return out;
  }
  ProgressCounter counter;
  H1_RETURN_IF_ERROR(counter.Scan(store_, id));
  counter.Describe(out, clock_.Steady(), {});
  H1_ASSIGN_OR_RETURN(const std::vector<std::int64_t> poisoned, store_.PoisonedSamples(id));
  out.set_poisoned(static_cast<std::int64_t>(poisoned.size()));
  H1_ASSIGN_OR_RETURN(const std::vector<FailureRow> failures, store_.Failures(id));
  AddFailures(failures, out);
  H1_ASSIGN_OR_RETURN(const std::string digest, store_.ResultsDigest(id));
  out.set_results_digest(digest);
  return out;
}

Result<v1::ListRunsResponse> Coordinator::ListRuns() { return DescribeRuns(store_); }

}  // namespace h1bench

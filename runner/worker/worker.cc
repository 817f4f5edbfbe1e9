#include "runner/worker/worker.h"

#include <chrono>
#include <fstream>
#include <optional>
#include <thread>
#include <utility>

#include "base/json.h"
#include "runner/engine/self_test.h"
#include "runner/worker/client.h"
#include "runner/worker/identity.h"
#include "runner/worker/life.h"
#include "runner/worker/outbox.h"
#include "runner/worker/telemetry.h"

namespace h1bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::int64_t kPollMs = 10'000;
constexpr int kFlushResponses = 512;  // each submit waits for the coordinator's disk
constexpr std::chrono::milliseconds kFlushAfter{1'000};  // what a kill -9 may cost
constexpr std::size_t kFlushBytes = 1 << 20;

/// Starts the peak of resident memory anew, so that a variant does not answer for the one before it
/// (proc(5), clear_refs).
void ResetPeakMemory() { std::ofstream("/proc/self/clear_refs") << 5; }

/// Bytes; 0 where /proc does not tell.
std::int64_t PeakMemory() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::int64_t kibibytes = 0;
  while (status >> word) {
    if (word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

/// What a worker tells of its variant with every submit; engine_seconds: time inside the engine
/// since the variant was loaded; prefill_seconds and so on: of that, in Forwards of that phase;
/// gpu: null where nobody watches one.
std::string UsageJson(const MemoryPlan& used, double engine_seconds, const EngineStats& stats,
                      const Json& gpu) {
  Json json;
  json.Set("weights", used.weights)
      .Set("kv", used.kv)
      .Set("state", used.state)
      .Set("workspace", used.workspace);
  json.Set("context", used.context)
      .Set("peak_rss", PeakMemory())
      .Set("engine_seconds", engine_seconds);
  for (std::size_t i = 0; i < kPhases; ++i)
    json.Set(fmt::format("{}_seconds", PhaseName(static_cast<Phase>(i))), stats.phase_seconds[i]);
  if (stats.out_of_memory > 0) json.Set("out_of_memory", stats.out_of_memory);
  if (!gpu.is_null()) json.Set("gpu", gpu);
  return WriteJson(json);
}

class Worker {
 public:
  /// `self_test`: how the engine fared.
  Worker(const WorkerOptions& options, const std::string& identity, const Status& self_test)
      : options_(options),
        client_(options.coordinator),
        incarnation_(RandomName()),
        life_(client_, Registration(identity, self_test), options.parent) {
    if (options.engine == "cuda") telemetry_ = Telemetry::Open();
  }

  Status Run() {
    H1_RETURN_IF_ERROR(life_.Begin());
    const Status status = Loop();
    v1::DrainRequest drain;
    drain.set_worker_name(options_.name);
    drain.set_incarnation(incarnation_);
    if (!status.ok()) drain.set_failure(status.message());
    (void)client_.Drain(drain);  // a courtesy: without it the leases end by themselves
    return status;
  }

 private:
  v1::RegisterRequest Registration(const std::string& identity, const Status& self_test) const {
    v1::RegisterRequest request;
    request.set_worker_name(options_.name);
    request.set_incarnation(incarnation_);
    request.set_environment_json(options_.environment_json);
    request.set_identity(identity);
    if (!self_test.ok()) request.set_self_test_failure(self_test.message());
    for (const Precision precision : {Precision::kBf16, Precision::kFp32})
      request.add_capabilities(PrecisionName(precision));
    return request;
  }

  Status Loop() {
    while (!life_.Leaving()) {
      H1_RETURN_IF_ERROR(life_.fenced());
      v1::LeaseRequest ask;
      ask.set_worker_name(options_.name);
      ask.set_incarnation(incarnation_);
      ask.set_loaded_variant(loaded_);
      ask.set_wait_ms(kPollMs);
      v1::LeaseResponse lease;
      const Status status = client_.Lease(ask, lease);
      if (status.code() == StatusCode::kNotFound) {
        (void)life_.RegisterAgain();
        Pause();
        continue;
      }
      if (status.code() == StatusCode::kUnavailable ||
          status.code() == StatusCode::kResourceExhausted ||
          status.code() == StatusCode::kCancelled) {
        if (status.code() == StatusCode::kResourceExhausted) life_.Heard();
        Pause();  // Life ends the process when this goes on
        continue;
      }
      H1_RETURN_IF_ERROR(status);
      life_.Heard();
      if (lease.finished()) return Status::Ok();
      if (lease.lease_id() != 0) H1_RETURN_IF_ERROR(Work(lease));
    }
    return Status::Ok();
  }

  static void Pause() { std::this_thread::sleep_for(std::chrono::milliseconds(250)); }

  Status Load(const v1::Variant& variant) {
    engine_.reset();  // the old weights go before the new ones come
    ResetPeakMemory();
    engine_seconds_ = 0;
    if (telemetry_) telemetry_->Reset();
    loaded_ = 0;
    WorkerOptions watched = options_;
    if (telemetry_)
      watched.engine_options.on_forward = [this](Phase phase) { telemetry_->Enter(phase); };
    H1_ASSIGN_OR_RETURN(engine_, LoadVariant(variant, watched));
    H1_ASSIGN_OR_RETURN(probe_, engine_->Probe());
    loaded_ = variant.id();
    return Status::Ok();
  }

  Status Work(const v1::LeaseResponse& lease) {
    life_.Hold(lease.lease_id());
    if (loaded_ != lease.variant().id()) {
      H1_RETURN_IF_ERROR(Load(lease.variant()));
      // Before anything else: a worker that is refused for its probe has wasted nobody's time.
      v1::SubmitRequest proof = EmptyBatch(lease);
      proof.set_memory_json(Usage());
      if (const Status proven = Submit(proof); !proven.ok()) {
        life_.Hold(0);
        return IsStale(proven) ? Status::Ok() : proven;
      }
    }
    std::vector<EngineRequest> requests;
    for (int i = 0; i < lease.requests_size(); ++i)
      requests.push_back(FromWire(lease.requests(i), i));
    v1::SubmitRequest batch = EmptyBatch(lease);
    std::size_t bytes = 0;
    auto flushed = SteadyClock::now();
    Outbox<v1::SubmitRequest> outbox([this](v1::SubmitRequest& full) { return Submit(full); });
    bool taken = true;
    const auto flush = [&](bool last) {
      batch.set_last(last);
      batch.set_memory_json(Usage());
      taken = outbox.Put(std::exchange(batch, EmptyBatch(lease)));
    };
    running_since_ = SteadyClock::now();
    if (telemetry_) telemetry_->Resume();
    const Status ran = engine_->Run(requests, [&](EngineResponse response) {
      v1::Response& wire = *batch.add_responses();
      wire = ToWire(lease.requests(static_cast<int>(response.tag)), response);
      bytes += wire.ByteSizeLong();
      const auto now = SteadyClock::now();
      if (batch.responses_size() >= kFlushResponses || bytes >= kFlushBytes ||
          now - flushed >= kFlushAfter) {
        flush(false);
        bytes = 0;
        flushed = now;
      }
      return taken && !life_.Lost() && !life_.Leaving();
    });
    if (telemetry_) telemetry_->Pause();
    engine_seconds_ = EngineSeconds();
    running_since_.reset();
    if (taken && !life_.Lost() && (batch.responses_size() > 0 || ran.ok())) flush(ran.ok());
    const Status submitted = outbox.Close();
    life_.Hold(0);
    if (!ran.ok() && ran.code() != StatusCode::kCancelled) return ran;
    return IsStale(submitted) ? Status::Ok() : submitted;
  }

  /// A lease that is not ours any more is no failure: somebody else answers it.
  static bool IsStale(const Status& submitted) {
    return submitted.code() == StatusCode::kFailedPrecondition ||
           submitted.code() == StatusCode::kNotFound;
  }

  v1::SubmitRequest EmptyBatch(const v1::LeaseResponse& lease) const {
    v1::SubmitRequest batch;
    batch.set_worker_name(options_.name);
    batch.set_incarnation(incarnation_);
    batch.set_lease_id(lease.lease_id());
    batch.set_attempt(lease.attempt());
    batch.set_probe(probe_);
    return batch;
  }

  double EngineSeconds() const {
    if (!running_since_) return engine_seconds_;
    return engine_seconds_ +
           std::chrono::duration<double>(SteadyClock::now() - *running_since_).count();
  }

  /// What the engine used so far.
  std::string Usage() const {
    const Json gpu = telemetry_ ? ToJson(telemetry_->Name(), telemetry_->Usage()) : Json();
    return UsageJson(engine_->used_memory(), EngineSeconds(), engine_->stats(), gpu);
  }

  /// Repeats until it is acknowledged or refused. In the outbox's thread.
  Status Submit(v1::SubmitRequest& batch) {
    auto wait = std::chrono::milliseconds(100);
    while (true) {
      const Status status = client_.Submit(batch);
      if (status.ok()) life_.Heard();
      if (status.code() != StatusCode::kUnavailable &&
          status.code() != StatusCode::kResourceExhausted)
        return status;
      if (life_.Lost()) return FailedPrecondition("the lease was lost");
      std::this_thread::sleep_for(wait);
      wait = std::min(wait * 2, std::chrono::milliseconds(1'000));
    }
  }

  const WorkerOptions& options_;
  CoordinatorClient client_;
  std::string incarnation_;
  Life life_;
  std::unique_ptr<Engine> engine_;
  std::int64_t loaded_ = 0;
  std::string probe_;  // the loaded variant's
  double engine_seconds_ = 0;
  std::unique_ptr<Telemetry> telemetry_;  // null: no GPU, or no NVML
  std::optional<SteadyClock::time_point> running_since_;
};

Status TestEngine(const WorkerOptions& options) {
  if (options.engine == "null") return Status::Ok();
  H1_ASSIGN_OR_RETURN(const Device device, ParseDevice(options.engine));
  // The emulation takes thousands of times as long as the GPU that it stands for.
  constexpr std::size_t kEmulated = 2;
  return SelfTest(device, options.engine_options.backend.threads,
                  device == Device::kCudaEmulated ? kEmulated : KnownAnswers().size());
}

}  // namespace

Status RunWorker(const WorkerOptions& options) {
  H1_ASSIGN_OR_RETURN(const std::string identity, EngineIdentity(options.engine));
  return Worker(options, identity, TestEngine(options)).Run();
}

}  // namespace h1bench

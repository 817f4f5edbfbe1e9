#include "runner/worker/worker.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <optional>
#include <sstream>
#include <thread>
#include <utility>

#include "runner/engine/self_test.h"
#include "runner/worker/client.h"
#include "runner/worker/early_load.h"
#include "runner/worker/identity.h"
#include "runner/worker/life.h"
#include "runner/worker/shift.h"
#include "runner/worker/telemetry.h"
#include "runner/worker/usage.h"

namespace h1bench {
namespace {

constexpr std::int64_t kPollMs = 10'000;
/// Forwards whose tokens are made ready while another is computed.
constexpr std::int64_t kForwardsAhead = 2;

class Worker {
 public:
  /// `self_test`: how the engine fared. `telemetry` may be null. All outlive it.
  Worker(const WorkerOptions& options, const Meeting& meeting, const std::string& identity,
         const Status& self_test, EarlyLoad& early, Telemetry* telemetry)
      : options_(options),
        client_(meeting.coordinator),
        incarnation_(RandomName()),
        life_(client_, Registration(identity, self_test), options.parent),
        early_(early),
        loaded_(meeting.variant),
        telemetry_(telemetry) {}

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
      v1::LeaseRequest ask = Ask();
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
      if (lease.lease_id() != 0) H1_RETURN_IF_ERROR(Work(std::move(lease)));
    }
    return Status::Ok();
  }

  static void Pause() { std::this_thread::sleep_for(std::chrono::milliseconds(250)); }

  Status Load(const v1::Variant& variant) {
    engine_.reset();  // the old weights go before the new ones come
    loaded_ = 0;
    std::optional<Result<LoadedEngine>> loaded = early_.Take(variant);
    if (!loaded) {
      ResetPeakMemory();
      if (telemetry_ != nullptr) telemetry_->Reset();
      loaded = LoadAndProbe(variant, options_);
    }
    H1_RETURN_IF_ERROR(loaded->status());
    engine_ = std::move((*loaded)->engine);
    probe_ = (*loaded)->probe;
    loaded_ = variant.id();
    times_ = {.load = (*loaded)->seconds};
    watch_.Restart();
    return Status::Ok();
  }

  Status Work(v1::LeaseResponse lease) {
    life_.Hold(lease.lease_id());
    if (engine_ == nullptr || loaded_ != lease.variant().id()) {
      H1_RETURN_IF_ERROR(Load(lease.variant()));
      // Before anything else: a worker that is refused for its probe has wasted nobody's time.
      v1::SubmitRequest proof = Envelope();
      proof.set_lease_id(lease.lease_id());
      proof.set_attempt(lease.attempt());
      if (const Status proven = HandIn(client_, life_, proof); !proven.ok()) {
        life_.LetGo(lease.lease_id());
        return IsStale(proven) ? Status::Ok() : proven;
      }
    }
    H1_ASSIGN_OR_RETURN(const Shift::Context context, ContextFor(lease.variant()));
    return Shift(context).Run(std::move(lease));
  }

  Result<Shift::Context> ContextFor(const v1::Variant& variant) {
    Shift::Context context{client_, life_, *engine_,   Envelope(), Ask(),
                           1,       0,     telemetry_, times_,     watch_};
    if (options_.engine == "null") return context;
    H1_ASSIGN_OR_RETURN(const EngineOptions options,
                        OptionsForVariant(options_.engine_options, options_.engine,
                                          variant.precision(), variant.max_length()));
    context.enough = kForwardsAhead * options.backend.max_batch_tokens;
    // The CPU engine has all cores at work; beside a GPU they have nothing else to do.
    if (options.backend.device == Device::kCuda) {
      const int cores = options.backend.threads > 0
                            ? options.backend.threads
                            : static_cast<int>(std::thread::hardware_concurrency());
      context.threads = std::max(1, cores / 2);
    }
    return context;
  }

  v1::SubmitRequest Envelope() const {
    v1::SubmitRequest batch;
    batch.set_worker_name(options_.name);
    batch.set_incarnation(incarnation_);
    batch.set_probe(probe_);
    return batch;
  }

  v1::LeaseRequest Ask() const {
    v1::LeaseRequest ask;
    ask.set_worker_name(options_.name);
    ask.set_incarnation(incarnation_);
    ask.set_loaded_variant(loaded_);
    return ask;
  }

  const WorkerOptions& options_;
  CoordinatorClient client_;
  std::string incarnation_;
  Life life_;
  EarlyLoad& early_;
  std::unique_ptr<Engine> engine_;
  std::int64_t loaded_ = 0;  // a variant; before there is an engine, the one that is loaded early
  std::string probe_;        // the loaded variant's
  Telemetry* telemetry_;     // null: no GPU, or no NVML
  WorkTimes times_;
  StopWatch watch_;
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

Result<Meeting> ReadMeeting(std::istream& in) {
  Meeting meeting;
  if (std::string line; std::getline(in, line)) {
    std::istringstream words(line);
    if (!(words >> meeting.coordinator >> meeting.variant) || meeting.variant < 0)
      return InvalidArgument(
          "standard input: \"{:.80}\", expected HOST:PORT and a variant's number", line);
    return meeting;
  }
  return Unavailable("standard input ended before it named a coordinator: there is no run");
}

Status RunWorker(const WorkerOptions& given) {
  Life::DieWith(given.parent, given.name);
  WorkerOptions options = given;
  H1_ASSIGN_OR_RETURN(const std::string identity, EngineIdentity(options.engine));
  const Status self_test = TestEngine(options);
  std::unique_ptr<Telemetry> telemetry;
  if (options.engine == "cuda") telemetry = Telemetry::Open();
  if (telemetry)
    options.engine_options.on_forward = [&telemetry](Phase phase) { telemetry->Enter(phase); };
  EarlyLoad early;
  if (self_test.ok() && !options.early.path().empty()) {
    options.early.set_identity(identity);
    ResetPeakMemory();
    early.Begin(options.early, options);
  }
  Meeting meeting{options.coordinator};
  if (options.coordinator == "-") {
    H1_ASSIGN_OR_RETURN(meeting, ReadMeeting(std::cin));
  }
  return Worker(options, meeting, identity, self_test, early, telemetry.get()).Run();
}

}  // namespace h1bench

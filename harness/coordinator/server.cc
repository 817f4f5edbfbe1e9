#include "harness/coordinator/server.h"

#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <deque>

#include "harness/coordinator/grpc_status.h"
#include "harness/coordinator/wire.h"
#include "harness/suite/suite.h"
#include "proto/h1bench.grpc.pb.h"

namespace h1bench {
namespace {

/// Only until there is TLS: whoever can connect may hand in answers.
bool IsLoopback(const std::string& address) {
  return address.rfind("127.", 0) == 0 || address.rfind("localhost:", 0) == 0 ||
         address.rfind("[::1]:", 0) == 0;
}

/// Calls come as bytes, so that they are looked at before objects are made of them (wire.h).
Status Read(const grpc::ByteBuffer& bytes, google::protobuf::Message& message) {
  grpc::Slice slice;
  if (!bytes.TrySingleSlice(&slice).ok() && !bytes.DumpToSingleSlice(&slice).ok())
    return InvalidArgument("a call whose bytes cannot be unpacked");
  return ReadMessage({reinterpret_cast<const char*>(slice.begin()), slice.size()}, message);
}

void Finish(grpc::ServerUnaryReactor* reactor, const Status& status,
            const google::protobuf::Message& response, grpc::ByteBuffer* answer) {
  if (status.ok()) {
    const grpc::Slice slice(response.SerializeAsString());
    *answer = grpc::ByteBuffer(&slice, 1);
  }
  reactor->Finish(ToGrpc(status));
}

const grpc::Status kTooManyCalls = {grpc::StatusCode::RESOURCE_EXHAUSTED,
                                    "too many calls at once; try again in a second"};

/// Runs `work` on the executor and finishes the call with what it returns.
template <typename Request, typename Response>
grpc::ServerUnaryReactor* Unary(Executor& executor, grpc::CallbackServerContext* context,
                                const grpc::ByteBuffer* bytes, grpc::ByteBuffer* answer,
                                std::function<Status(const Request&, Response&)> work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const auto request = std::make_shared<Request>();
  if (const Status read = Read(*bytes, *request); !read.ok()) {
    reactor->Finish(ToGrpc(read));
    return reactor;
  }
  const bool queued = executor.Post([reactor, request, answer, work = std::move(work)] {
    Response response;
    const Status status = work(*request, response);
    Finish(reactor, status, response, answer);
  });
  if (!queued) reactor->Finish(kTooManyCalls);
  return reactor;
}

using WorkerCalls = v1::Coordinator::WithRawCallbackMethod_Register<
    v1::Coordinator::WithRawCallbackMethod_Lease<v1::Coordinator::WithRawCallbackMethod_Heartbeat<
        v1::Coordinator::WithRawCallbackMethod_Submit<
            v1::Coordinator::WithRawCallbackMethod_Drain<v1::Coordinator::Service>>>>>;
using RunCalls = v1::Runs::WithRawCallbackMethod_CreateRun<
    v1::Runs::WithRawCallbackMethod_ListRuns<v1::Runs::WithRawCallbackMethod_WatchRun<
        v1::Runs::WithRawCallbackMethod_CancelRun<v1::Runs::Service>>>>;

class WorkerService final : public WorkerCalls {
 public:
  WorkerService(Coordinator& core, Executor& executor) : core_(core), executor_(executor) {}

  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;

  grpc::ServerUnaryReactor* Register(Context* context, const Bytes* bytes, Bytes* answer) override {
    return Unary<v1::RegisterRequest, v1::RegisterResponse>(
        executor_, context, bytes, answer,
        [this](const auto& request, auto& response) { return core_.Register(request, response); });
  }
  grpc::ServerUnaryReactor* Heartbeat(Context* context, const Bytes* bytes,
                                      Bytes* answer) override {
    return Unary<v1::HeartbeatRequest, v1::HeartbeatResponse>(
        executor_, context, bytes, answer,
        [this](const auto& request, auto& response) { return core_.Heartbeat(request, response); });
  }
  grpc::ServerUnaryReactor* Submit(Context* context, const Bytes* bytes, Bytes* answer) override {
    return Unary<v1::SubmitRequest, v1::SubmitResponse>(
        executor_, context, bytes, answer,
        [this](const auto& request, auto&) { return core_.Submit(request); });
  }
  grpc::ServerUnaryReactor* Drain(Context* context, const Bytes* bytes, Bytes* answer) override {
    return Unary<v1::DrainRequest, v1::DrainResponse>(
        executor_, context, bytes, answer,
        [this](const auto& request, auto&) { return core_.Drain(request); });
  }
  grpc::ServerUnaryReactor* Lease(Context* context, const Bytes* bytes, Bytes* answer) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    LeaseCall call;
    if (const Status read = Read(*bytes, call.request); !read.ok()) {
      reactor->Finish(ToGrpc(read));
      return reactor;
    }
    call.respond = [reactor, answer](const Status& status, const v1::LeaseResponse& response) {
      Finish(reactor, status, response, answer);
    };
    call.cancelled = [context, reactor] {
      if (!context->IsCancelled()) return false;
      reactor->Finish(grpc::Status::CANCELLED);
      return true;
    };
    const bool queued = executor_.Post([this, call = std::move(call)] { core_.AskLease(call); });
    if (!queued) reactor->Finish(kTooManyCalls);
    return reactor;
  }

 private:
  Coordinator& core_;
  Executor& executor_;
};

/// Plans one submitted suite after the other on a thread of its own: reading a model may take a
/// minute.
class RunService final : public RunCalls {
 public:
  RunService(Coordinator& core, Executor& executor, Store& store, ModelSource& models,
             bool have_judge, const ServerOptions& options, Clock& clock)
      : core_(core),
        executor_(executor),
        store_(store),
        models_(models),
        have_judge_(have_judge),
        options_(options),
        clock_(clock),
        planning_(std::chrono::hours(1), [] {}) {}

  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;

  grpc::ServerUnaryReactor* CreateRun(Context* context, const Bytes* bytes,
                                      Bytes* answer) override {
    const auto& metadata = context->client_metadata();
    const auto found = metadata.find(kSubmissionName);
    const std::string name =
        found == metadata.end() ? "" : std::string(found->second.data(), found->second.size());
    return Unary<v1::CreateRunRequest, v1::CreateRunResponse>(
        planning_, context, bytes, answer, [this, name](const auto& request, auto& response) {
          return CreateOnce(name, request, response);
        });
  }
  grpc::ServerUnaryReactor* ListRuns(Context* context, const Bytes* bytes, Bytes* answer) override {
    return Unary<v1::ListRunsRequest, v1::ListRunsResponse>(
        executor_, context, bytes, answer, [this](const auto&, auto& response) -> Status {
          H1_ASSIGN_OR_RETURN(response, core_.ListRuns());
          return Status::Ok();
        });
  }
  grpc::ServerUnaryReactor* WatchRun(Context* context, const Bytes* bytes, Bytes* answer) override {
    return Unary<v1::WatchRunRequest, v1::RunProgress>(
        executor_, context, bytes, answer, [this](const auto& request, auto& response) -> Status {
          H1_ASSIGN_OR_RETURN(response, core_.Progress(request.run()));
          return Status::Ok();
        });
  }
  grpc::ServerUnaryReactor* CancelRun(Context* context, const Bytes* bytes,
                                      Bytes* answer) override {
    return Unary<v1::CancelRunRequest, v1::CancelRunResponse>(
        executor_, context, bytes, answer,
        [this](const auto& request, auto&) { return core_.CancelRun(request.run()); });
  }

 private:
  /// On the planning thread, as all that touches `created_`.
  Status CreateOnce(const std::string& name, const v1::CreateRunRequest& request,
                    v1::CreateRunResponse& response) {
    for (const auto& [known, answer] : created_) {
      if (known != name) continue;
      response = answer;
      return Status::Ok();
    }
    H1_RETURN_IF_ERROR(Create(request, response));
    if (name.empty()) return Status::Ok();
    created_.emplace_back(name, response);
    if (created_.size() > kKnownSubmissions) created_.pop_front();
    return Status::Ok();
  }

  Status Create(const v1::CreateRunRequest& request, v1::CreateRunResponse& response) {
    H1_ASSIGN_OR_RETURN(const Suite suite, ParseSuite(request.suite_text(), request.suite_path()));
    PlanOptions plan_options;
    plan_options.suite_path = request.suite_path();
    plan_options.data = !request.data().empty() ? std::filesystem::path(request.data())
                        : !suite.data.empty()   ? suite.data
                                                : options_.data;
    plan_options.version_json = options_.version_json;
    plan_options.environment_json = options_.environment_json;
    plan_options.created_unix_ms = clock_.WallUnixMillis();
    H1_ASSIGN_OR_RETURN(Plan plan, MakePlan(suite, models_, plan_options));
    if (plan.NeedsJudge() && !have_judge_)
      return Unsupported("this coordinator cannot judge code; start it where bubblewrap works");
    response.set_samples(static_cast<std::int64_t>(plan.samples.size()));
    return executor_.Call([&]() -> Status {
      auto tasks = std::make_shared<TaskSet>();
      H1_ASSIGN_OR_RETURN(const std::int64_t run, StorePlan(store_, plan, *tasks));
      response.set_run(run);
      return core_.StartRun(run, plan.identity, tasks);
    });
  }

  Coordinator& core_;
  Executor& executor_;
  Store& store_;
  ModelSource& models_;
  bool have_judge_;
  const ServerOptions& options_;
  Clock& clock_;
  static constexpr std::size_t kKnownSubmissions = 100;
  std::deque<std::pair<std::string, v1::CreateRunResponse>> created_;
  Executor planning_;  // ends first: its thread uses all of the above
};

class Server final : public CoordinatorServer {
 public:
  Server(Store& store, ModelSource& models, tasks::CodeJudge* judge, const ServerOptions& options,
         Clock& clock)
      : options_(options),
        core_(store, clock, options.coordinator,
              [this](ScoreJob job) { scorer_->Add(std::move(job)); }),
        executor_(std::chrono::milliseconds(50), [this] { core_.Tick(); }),
        scorer_(std::make_unique<Scorer>(options.score_threads, judge,
                                         [this](ScoreResult result) {
                                           executor_.PostAlways([this, result = std::move(result)] {
                                             core_.AddScore(result);
                                           });
                                         })),
        workers_(core_, executor_),
        runs_(core_, executor_, store, models, judge != nullptr, options_, clock) {}

  Status Listen() {
    if (!IsLoopback(options_.address)) {
      return InvalidArgument(
          "cannot listen on {}: only loopback addresses (127.0.0.1:PORT) until connections are "
          "authenticated",
          options_.address);
    }
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(options_.address, grpc::InsecureServerCredentials(), &port);
    builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
    builder.SetMaxSendMessageSize(kMaxMessageBytes);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT,
                               0);  // a second coordinator must fail, not share
    builder.RegisterService(&workers_);
    builder.RegisterService(&runs_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port == 0)
      return IoError("cannot listen on {}: is another program using the port?", options_.address);
    server_->GetHealthCheckService()->SetServingStatus(true);
    address_ = options_.address.substr(0, options_.address.rfind(':')) + ":" + std::to_string(port);
    return Status::Ok();
  }

  ~Server() override {
    if (server_ != nullptr) server_->GetHealthCheckService()->SetServingStatus(false);
    executor_.Call([this] { core_.Shutdown(); });
    if (server_ != nullptr)
      server_->Shutdown(
          gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(2, GPR_TIMESPAN)));
    scorer_.reset();
  }

  std::string address() const override { return address_; }
  Status StartRun(std::int64_t run, const std::string& identity,
                  std::shared_ptr<const TaskSet> tasks, const RunEstimate& estimate) override {
    return executor_.Call([&] { return core_.StartRun(run, identity, tasks, estimate); });
  }
  Result<v1::RunProgress> Progress(std::int64_t run) override {
    return executor_.Call([&] { return core_.Progress(run); });
  }
  void WorkerLost(const std::string& worker) override {
    executor_.Call([&] { core_.WorkerLost(worker); });
  }
  bool Idle() override {
    return executor_.Call([&] { return core_.idle(); });
  }
  Status Fatal() override {
    return executor_.Call([&] { return core_.fatal(); });
  }
  std::vector<std::string> Failures() override {
    return executor_.Call([&] { return core_.failures(); });
  }

 private:
  ServerOptions options_;
  std::string address_;
  Coordinator core_;
  Executor executor_;
  std::unique_ptr<Scorer> scorer_;
  WorkerService workers_;
  RunService runs_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Result<std::unique_ptr<CoordinatorServer>> CoordinatorServer::Start(Store& store,
                                                                    ModelSource& models,
                                                                    tasks::CodeJudge* judge,
                                                                    const ServerOptions& options,
                                                                    Clock& clock) {
  auto server = std::make_unique<Server>(store, models, judge, options, clock);
  H1_RETURN_IF_ERROR(server->Listen());
  return std::unique_ptr<CoordinatorServer>(std::move(server));
}

}  // namespace h1bench

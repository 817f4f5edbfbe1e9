#include "harness/coordinator/server.h"

#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <deque>

#include "harness/coordinator/grpc_status.h"
#include "harness/suite/suite.h"
#include "proto/h1bench.grpc.pb.h"

namespace h1bench {
namespace {

/// Only until there is TLS: whoever can connect may hand in answers.
bool IsLoopback(const std::string& address) {
  return address.rfind("127.", 0) == 0 || address.rfind("localhost:", 0) == 0 ||
         address.rfind("[::1]:", 0) == 0;
}

/// Runs `work` on the executor and finishes the call with what it returns.
grpc::ServerUnaryReactor* Unary(Executor& executor, grpc::CallbackServerContext* context,
                                std::function<Status()> work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const bool queued =
      executor.Post([reactor, work = std::move(work)] { reactor->Finish(ToGrpc(work())); });
  if (!queued)
    reactor->Finish(
        {grpc::StatusCode::RESOURCE_EXHAUSTED, "too many calls at once; try again in a second"});
  return reactor;
}

class WorkerService final : public v1::Coordinator::CallbackService {
 public:
  WorkerService(Coordinator& core, Executor& executor) : core_(core), executor_(executor) {}

  grpc::ServerUnaryReactor* Register(grpc::CallbackServerContext* context,
                                     const v1::RegisterRequest* request,
                                     v1::RegisterResponse* response) override {
    return Unary(executor_, context, [=, this] { return core_.Register(*request, *response); });
  }
  grpc::ServerUnaryReactor* Heartbeat(grpc::CallbackServerContext* context,
                                      const v1::HeartbeatRequest* request,
                                      v1::HeartbeatResponse* response) override {
    return Unary(executor_, context, [=, this] { return core_.Heartbeat(*request, *response); });
  }
  grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext* context,
                                   const v1::SubmitRequest* request, v1::SubmitResponse*) override {
    return Unary(executor_, context, [=, this] { return core_.Submit(*request); });
  }
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context,
                                  const v1::DrainRequest* request, v1::DrainResponse*) override {
    return Unary(executor_, context, [=, this] { return core_.Drain(*request); });
  }
  grpc::ServerUnaryReactor* Lease(grpc::CallbackServerContext* context,
                                  const v1::LeaseRequest* request,
                                  v1::LeaseResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    LeaseCall call;
    call.request = *request;
    call.respond = [reactor, response](Status status, v1::LeaseResponse answer) {
      *response = std::move(answer);
      reactor->Finish(ToGrpc(status));
    };
    call.cancelled = [context, reactor] {
      if (!context->IsCancelled()) return false;
      reactor->Finish(grpc::Status::CANCELLED);
      return true;
    };
    const bool queued = executor_.Post([this, call = std::move(call)] { core_.AskLease(call); });
    if (!queued)
      reactor->Finish(
          {grpc::StatusCode::RESOURCE_EXHAUSTED, "too many calls at once; try again in a second"});
    return reactor;
  }

 private:
  Coordinator& core_;
  Executor& executor_;
};

/// Plans one submitted suite after the other on a thread of its own: reading a model may take a
/// minute.
class RunService final : public v1::Runs::CallbackService {
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

  grpc::ServerUnaryReactor* CreateRun(grpc::CallbackServerContext* context,
                                      const v1::CreateRunRequest* request,
                                      v1::CreateRunResponse* response) override {
    const auto& metadata = context->client_metadata();
    const auto found = metadata.find(kSubmissionName);
    const std::string name =
        found == metadata.end() ? "" : std::string(found->second.data(), found->second.size());
    return Unary(planning_, context, [=, this] { return CreateOnce(name, *request, *response); });
  }
  grpc::ServerUnaryReactor* ListRuns(grpc::CallbackServerContext* context,
                                     const v1::ListRunsRequest*,
                                     v1::ListRunsResponse* response) override {
    return Unary(executor_, context, [=, this]() -> Status {
      H1_ASSIGN_OR_RETURN(*response, core_.ListRuns());
      return Status::Ok();
    });
  }
  grpc::ServerUnaryReactor* WatchRun(grpc::CallbackServerContext* context,
                                     const v1::WatchRunRequest* request,
                                     v1::RunProgress* response) override {
    return Unary(executor_, context, [=, this]() -> Status {
      H1_ASSIGN_OR_RETURN(*response, core_.Progress(request->run()));
      return Status::Ok();
    });
  }
  grpc::ServerUnaryReactor* CancelRun(grpc::CallbackServerContext* context,
                                      const v1::CancelRunRequest* request,
                                      v1::CancelRunResponse*) override {
    return Unary(executor_, context, [=, this] { return core_.CancelRun(request->run()); });
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
      server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
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

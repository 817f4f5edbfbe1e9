#include "cli/run_client.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "base/json.h"
#include "harness/coordinator/server.h"
#include "harness/store/run_names.h"
#include "proto/h1bench.grpc.pb.h"
#include "runner/worker/client.h"

namespace h1bench::cli {

struct RunsClient::Impl {
  std::string address;
  std::unique_ptr<v1::Runs::Stub> stub;

  /// Calls `method` with a deadline, again when no answer came; failures name the coordinator.
  template <typename Request, typename Response>
  Status Call(grpc::Status (v1::Runs::Stub::*method)(grpc::ClientContext*, const Request&,
                                                     Response*),
              const Request& request, Response& response, std::chrono::seconds deadline,
              const std::string& submission = "") {
    grpc::Status answer;
    for (const int pause_ms : {100, 300, 900, 0}) {
      grpc::ClientContext context;
      context.set_deadline(Deadline(deadline));
      if (!submission.empty()) context.AddMetadata(kSubmissionName, submission);
      answer = (stub.get()->*method)(&context, request, &response);
      if (answer.error_code() != grpc::StatusCode::UNAVAILABLE) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    }
    const Status status = FromGrpc(answer);
    if (status.code() == StatusCode::kUnavailable)
      return status.WithContext("coordinator " + address);
    return status;
  }
};

namespace {
constexpr std::chrono::seconds kShort{5}, kPlanning{600};
}

RunsClient::RunsClient(const std::string& address) : impl_(std::make_unique<Impl>()) {
  impl_->address = address;
  impl_->stub = v1::Runs::NewStub(MakeChannel(address));
}

RunsClient::~RunsClient() = default;

Result<v1::CreateRunResponse> RunsClient::Create(const v1::CreateRunRequest& request) {
  v1::CreateRunResponse response;
  H1_RETURN_IF_ERROR(
      impl_->Call(&v1::Runs::Stub::CreateRun, request, response, kPlanning, RandomName()));
  return response;
}

Result<v1::ListRunsResponse> RunsClient::List() {
  v1::ListRunsResponse response;
  H1_RETURN_IF_ERROR(
      impl_->Call(&v1::Runs::Stub::ListRuns, v1::ListRunsRequest(), response, kShort));
  return response;
}

Result<v1::RunProgress> RunsClient::Find(const std::string& which) {
  H1_ASSIGN_OR_RETURN(v1::ListRunsResponse list, List());
  std::vector<std::pair<std::int64_t, std::string>> runs;
  for (const v1::RunProgress& run : list.runs()) runs.emplace_back(run.run(), run.id());
  H1_ASSIGN_OR_RETURN(const std::size_t place,
                      MatchRun(runs, which, "coordinator " + impl_->address));
  return std::move(*list.mutable_runs(static_cast<int>(place)));
}

Result<v1::RunProgress> RunsClient::Progress(std::int64_t run) {
  v1::WatchRunRequest request;
  request.set_run(run);
  v1::RunProgress response;
  H1_RETURN_IF_ERROR(impl_->Call(&v1::Runs::Stub::WatchRun, request, response, kShort));
  return response;
}

Status RunsClient::Cancel(std::int64_t run) {
  v1::CancelRunRequest request;
  request.set_run(run);
  v1::CancelRunResponse response;
  return impl_->Call(&v1::Runs::Stub::CancelRun, request, response, kShort);
}

void AddCoordinatorOption(CLI::App& app, std::string& address) {
  address = "127.0.0.1:7700";
  app.add_option("--coordinator", address, "HOST:PORT of the coordinator")->capture_default_str();
}

std::string ProgressJson(const v1::RunProgress& progress) {
  Json json;
  json.Set("run", progress.run()).Set("id", progress.id());
  json.Set("name", progress.name()).Set("state", progress.state());
  json.Set("workers", progress.workers()).Set("poisoned", progress.poisoned());
  json.Set("elapsed_seconds", progress.elapsed_seconds());
  json.Set("eta_seconds", progress.eta_seconds() < 0 ? Json() : Json(progress.eta_seconds()));
  json.Set("expected_seconds",
           progress.expected_seconds() > 0 ? Json(progress.expected_seconds()) : Json());
  json.Set("results_digest",
           progress.results_digest().empty() ? Json() : Json(progress.results_digest()));
  Json cells{Json::Array{}};
  for (const v1::CellProgress& cell : progress.cells()) {
    Json row;
    row.Set("model", cell.model()).Set("precision", cell.precision()).Set("task", cell.task());
    row.Set("samples", cell.total()).Set("done", cell.done()).Set("scored", cell.scored());
    row.Set("metric", cell.metric()).Set("score", cell.scored() == 0 ? Json() : Json(cell.score()));
    cells.Push(row);
  }
  json.Set("cells", cells);
  Json failures{Json::Array{}};
  for (const std::string& failure : progress.failures()) failures.Push(failure);
  json.Set("failures", failures);
  return WriteJson(json, 2);
}

Status WatchRun(RunsClient& client, std::int64_t run, RunDisplay::Mode mode, bool once, bool json) {
  RunDisplay display(mode);
  while (true) {
    H1_ASSIGN_OR_RETURN(const v1::RunProgress progress, client.Progress(run));
    run = progress.run();
    if (once || progress.state() != "running") {
      const std::string text =
          json ? ProgressJson(progress)
               : fmt::format("run {} {}: {}\n{}", progress.id(), progress.name(), progress.state(),
                             ProgressTable(progress));
      std::printf("%s\n", text.c_str());
      return Status::Ok();
    }
    display.Show(progress);
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
  }
}

}  // namespace h1bench::cli

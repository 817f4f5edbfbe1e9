#include "cli/run_local.h"

#include <signal.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "base/json.h"
#include "cli/run_display.h"
#include "cli/run_workers.h"
#include "cli/units.h"
#include "harness/coordinator/server.h"

namespace h1bench::cli {
namespace {

volatile sig_atomic_t g_interrupted = 0;

void CatchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) { g_interrupted = 1; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGHUP, &action, nullptr);
}

std::int64_t Done(const v1::RunProgress& progress) {
  std::int64_t done = 0;
  for (const v1::CellProgress& cell : progress.cells()) done += cell.done();
  return done;
}

Json ResultJson(const v1::RunProgress& progress, const std::filesystem::path& db) {
  Json json;
  json.Set("run", progress.run()).Set("name", progress.name()).Set("state", progress.state());
  json.Set("db", db.string()).Set("results_digest", progress.results_digest());
  json.Set("elapsed_seconds", progress.elapsed_seconds()).Set("poisoned", progress.poisoned());
  Json cells{Json::Array{}};
  for (const v1::CellProgress& cell : progress.cells()) {
    Json row;
    row.Set("model", cell.model()).Set("precision", cell.precision()).Set("task", cell.task());
    row.Set("samples", cell.total()).Set("done", cell.done()).Set("scored", cell.scored());
    row.Set("metric", cell.metric()).Set("score", cell.score());
    cells.Push(row);
  }
  json.Set("cells", cells);
  return json;
}

/// Watches until the run has ended, and gives its last progress.
Result<v1::RunProgress> Watch(const LocalRun& run, CoordinatorServer& server, WorkerPool& pool, RunDisplay& display) {
  while (true) {
    H1_ASSIGN_OR_RETURN(v1::RunProgress progress, server.Progress(run.run));
    H1_RETURN_IF_ERROR(server.Fatal());
    if (progress.state() != "running") {
      display.Show(progress, true);
      return progress;
    }
    display.Show(progress);
    if (g_interrupted != 0) return Status(StatusCode::kCancelled, "");
    const Status status = pool.Watch(Done(progress), [&](const std::string& worker) { server.WorkerLost(worker); });
    if (!status.ok()) {
      const std::vector<std::string> failures = server.Failures();
      if (failures.empty()) return status;
      return Status(status.code(), "no worker can do this work. " + failures.back());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

Status PrintResult(const v1::RunProgress& progress, const LocalRun& run, const RunArguments& arguments) {
  if (arguments.json) {
    std::printf("%s\n", WriteJson(ResultJson(progress, run.db), 2).c_str());
  } else {
    std::printf("\n%s\nresults %s\ndigest  %s\n", ProgressTable(progress).c_str(), run.db.c_str(), progress.results_digest().c_str());
  }
  if (progress.poisoned() > 0) {
    return Unavailable("{} sample(s) killed three workers each and were given up; everything else is complete", progress.poisoned());
  }
  return Status::Ok();
}

}  // namespace

Status ExecuteLocally(const LocalRun& run, const RunArguments& arguments) {
  CatchInterrupts();
  ServerOptions options;
  options.coordinator.expected_workers = arguments.workers;
  H1_ASSIGN_OR_RETURN(const auto worker_arguments, WorkerArguments(arguments.engine, arguments.workers));
  H1_ASSIGN_OR_RETURN(const auto server, CoordinatorServer::Start(run.store, run.models, run.judge, options));
  H1_RETURN_IF_ERROR(server->StartRun(run.run, run.identity, run.tasks));
  WorkerPool pool(server->address(), worker_arguments, run.db.string() + ".workers.log");
  H1_RETURN_IF_ERROR(pool.Start(arguments.workers));
  RunDisplay display(ParseDisplayMode(arguments.progress));
  const Result<v1::RunProgress> end = Watch(run, *server, pool, display);
  display.Release();
  pool.Stop();
  if (end.ok()) return PrintResult(*end, run, arguments);
  const std::string resume = fmt::format("`h1bench resume {} --db {}` goes on", run.run, run.db.string());
  if (end.status().code() == StatusCode::kCancelled) return {StatusCode::kCancelled, "paused, nothing is lost; " + resume};
  return {end.status().code(), end.status().message() + "\nWhat was answered is kept; " + resume + "."};
}

}  // namespace h1bench::cli

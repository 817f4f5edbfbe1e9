#include "cli/run_local.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "cli/run_display.h"
#include "harness/coordinator/server.h"
#include "harness/store/failpoint.h"
#include "harness/store/run_names.h"
#include "reports/render/render.h"

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

/// Where the time of the run's workers went (docs/planning.md), as each told last.
Result<Json> WorkersJson(const LocalRun& run) {
  H1_ASSIGN_OR_RETURN(const std::vector<MemoryRow> rows, run.store.Memory(run.run));
  Json workers{Json::Array{}};
  for (const MemoryRow& row : rows) {
    Json worker;
    worker.Set("worker", row.worker).Set("variant", row.variant_id);
    H1_ASSIGN_OR_RETURN(Json used, ParseJson(row.memory_json));
    worker.Set("used", std::move(used));
    workers.Push(std::move(worker));
  }
  return workers;
}

Json ResultJson(const v1::RunProgress& progress, const LocalRun& run,
                std::chrono::steady_clock::time_point began,
                std::chrono::steady_clock::time_point started,
                std::chrono::steady_clock::time_point answered) {
  Json json;
  json.Set("run", progress.run()).Set("id", progress.id());
  json.Set("name", progress.name()).Set("state", progress.state());
  json.Set("db", run.db.string()).Set("results_digest", progress.results_digest());
  json.Set("elapsed_seconds", progress.elapsed_seconds()).Set("poisoned", progress.poisoned());
  const std::chrono::duration<double> before = started - began;
  Json start;  // until the first lease, seconds since the program began
  start.Set("first_lease_seconds", progress.first_lease_seconds() < 0
                                       ? Json()
                                       : Json(before.count() + progress.first_lease_seconds()));
  start.Set("reading_models_seconds", run.models.read_seconds());
  start.Set("measuring_seconds", run.plan.measuring_seconds);
  start.Set("planned_seconds", before.count());
  const std::chrono::duration<double> after = std::chrono::steady_clock::now() - answered;
  json.Set("ending_seconds", after.count());  // stopping the workers, the reports
  json.Set("start", std::move(start)).Set("plan", PlanJson(run.plan));
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
Result<v1::RunProgress> Watch(const LocalRun& run, CoordinatorServer& server, RunDisplay& display) {
  double first_lease = -1;
  while (true) {
    H1_ASSIGN_OR_RETURN(v1::RunProgress progress, server.Progress(run.run));
    H1_RETURN_IF_ERROR(server.Fatal());
    if (progress.state() != "running") {
      progress.set_first_lease_seconds(first_lease);
      display.Show(progress, true);
      return progress;
    }
    first_lease = progress.first_lease_seconds();
    display.Show(progress);
    if (g_interrupted != 0) return Status(StatusCode::kCancelled, "");
    const Status status = run.pool.Watch(
        Done(progress), [&](const std::string& worker) { server.WorkerLost(worker); });
    if (!status.ok()) {
      const std::vector<std::string> failures = server.Failures();
      if (failures.empty()) return status;
      return Status(status.code(), "no worker can do this work. " + failures.back());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

/// report.html, .md and .json beside the database, in a folder of its name. Returns the folder.
Result<std::filesystem::path> WriteReports(const LocalRun& run, const reports::Report& report) {
  std::filesystem::path folder = run.db;
  folder.replace_extension();
  if (folder == run.db) folder += "-report";
  H1_RETURN_IF_ERROR(WriteFileAtomically(folder / "report.html", reports::RenderHtml(report)));
  H1_RETURN_IF_ERROR(Failpoint("report", ".half_written"));
  H1_RETURN_IF_ERROR(WriteFileAtomically(folder / "report.md", reports::RenderMarkdown(report)));
  H1_RETURN_IF_ERROR(WriteFileAtomically(folder / "report.json", reports::RenderJson(report)));
  return folder;
}

/// The run's name; its number where the store fails.
std::string NameOf(const LocalRun& run) {
  const std::string number = std::to_string(run.run);
  const Result<NamedRun> found = FindRun(run.store, number, run.db.string());
  return found.ok() ? found->name : number;
}

Status PrintResult(const v1::RunProgress& progress, const LocalRun& run,
                   const RunArguments& arguments, std::chrono::steady_clock::time_point started,
                   std::chrono::steady_clock::time_point answered) {
  H1_ASSIGN_OR_RETURN(const reports::Report report, reports::BuildReport(run.store, run.run, {}));
  H1_ASSIGN_OR_RETURN(const std::filesystem::path folder, WriteReports(run, report));
  if (arguments.json) {
    Json json = ResultJson(progress, run, arguments.began, started, answered);
    H1_ASSIGN_OR_RETURN(Json workers, WorkersJson(run));
    json.Set("workers", std::move(workers));
    json.Set("report", (folder / "report.html").string());
    std::printf("%s\n", WriteJson(json, 2).c_str());
  } else {
    const bool colour = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
    std::printf(
        "%s\n  report    %s (and .md, .json)\n  database  %s   results digest %.16s\n  next      "
        "h1bench samples --db %s\n",
        reports::RenderTerminal(report, colour).c_str(), (folder / "report.html").c_str(),
        run.db.c_str(), progress.results_digest().c_str(), run.db.c_str());
  }
  std::fflush(stdout);
  if (progress.poisoned() > 0) {
    return Unavailable(
        "{} sample(s) killed three workers each and were given up; everything else is complete",
        progress.poisoned());
  }
  return Status::Ok();
}

}  // namespace

Result<std::unique_ptr<WorkerPool>> StartWorkers(const RunPlan& plan,
                                                 const std::map<std::int64_t, VariantRow>& variants,
                                                 const CheckpointModels& models,
                                                 const RunArguments& arguments,
                                                 const std::filesystem::path& db) {
  std::vector<std::string> words = WorkerArguments(arguments.engine);
  for (const auto& [stamp, digest] : models.checked())
    words.insert(words.end(), {"--checked", stamp + ":" + digest});
  auto pool = std::make_unique<WorkerPool>(std::move(words), db.string() + ".workers.log");
  std::vector<VariantRow> early;
  for (const std::int64_t variant : plan.first_variants) early.push_back(variants.at(variant));
  H1_RETURN_IF_ERROR(pool->Start(arguments.workers, early));
  return pool;
}

Status ExecuteLocally(const LocalRun& run, const RunArguments& arguments) {
  CatchInterrupts();
  ServerOptions options;
  options.coordinator.expected_workers = arguments.workers;
  H1_ASSIGN_OR_RETURN(std::unique_ptr<CoordinatorServer> server,
                      CoordinatorServer::Start(run.store, run.models, run.judge, options));
  const auto started = std::chrono::steady_clock::now();
  H1_RETURN_IF_ERROR(server->StartRun(run.run, run.identity, run.tasks, run.plan.estimate));
  Result<v1::RunProgress> end = Status(StatusCode::kInternal, "");
  run.pool.Meet(server->address(), run.plan.first_variants);
  {
    RunDisplay display(ParseDisplayMode(arguments.progress),
                       fmt::format("Ctrl-C pauses, `h1bench resume {}` goes on", run.run));
    end = Watch(run, *server, display);
  }
  const auto answered = std::chrono::steady_clock::now();
  if (end.ok())
    run.pool.Dismiss();  // they end while the reports are made
  else
    run.pool.Stop();  // they hand in what they have
  server.reset();     // from here on the store is this thread's
  if (end.ok()) return PrintResult(*end, run, arguments, started, answered);
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - started;
  (void)run.store.FinishRun(run.run, "running", wall.count(),
                            0);  // adds the time; the failure is told below
  const std::string resume =
      fmt::format("`h1bench resume {} --db {}` goes on", NameOf(run), run.db.string());
  if (end.status().code() == StatusCode::kCancelled)
    return {StatusCode::kCancelled, "paused, nothing is lost; " + resume};
  return {end.status().code(),
          end.status().message() + "\nWhat was answered is kept; " + resume + "."};
}

}  // namespace h1bench::cli

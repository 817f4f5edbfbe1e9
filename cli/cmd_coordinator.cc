#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <thread>

#include "base/json.h"
#include "cli/command.h"
#include "cli/run_models.h"
#include "cli/run_options.h"
#include "cli/stored_run.h"
#include "cli/version.h"
#include "harness/coordinator/server.h"
#include "harness/store/lock.h"
#include "harness/store/run_names.h"
#include "runner/worker/identity.h"
#include "tasks/data/manifest.h"
#include "tasks/sandbox/judge.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string address = "127.0.0.1:7700", db, data, engine = "auto";
  int lease_ttl_ms = 30'000;
};

volatile sig_atomic_t g_stop = 0;

/// Every unfinished run of the database that this engine can answer, with its tasks.
Result<std::vector<std::pair<std::int64_t, std::shared_ptr<const TaskSet>>>> UnfinishedRuns(
    Store& store, ModelSource& models, const std::string& identity) {
  std::vector<std::pair<std::int64_t, std::shared_ptr<const TaskSet>>> unfinished;
  H1_ASSIGN_OR_RETURN(const std::vector<RunRow> runs, store.ListRuns());
  const std::vector<std::string> names = NameRuns(runs);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const RunRow& run = runs[i];
    if (run.state != "running") continue;
    H1_ASSIGN_OR_RETURN(const KeptOptions kept, ReadKept(run));
    if (kept.identity != identity) {
      std::printf("run %s waits for the engine \"%s\"\n", names[i].c_str(), kept.identity.c_str());
      continue;
    }
    H1_ASSIGN_OR_RETURN(TaskSet tasks, LoadTasksOfRun(store, run.id, models, kept.data));
    unfinished.emplace_back(run.id, std::make_shared<const TaskSet>(std::move(tasks)));
    std::printf("run %s goes on\n", names[i].c_str());
  }
  return unfinished;
}

Status Serve(const Options& options) {
  Result<std::unique_ptr<tasks::CodeJudge>> judge =
      tasks::LaunchJudge();  // before SQLite, gRPC and threads exist
  struct sigaction action = {};
  action.sa_handler = [](int) { g_stop = 1; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  H1_ASSIGN_OR_RETURN(const std::string identity, EngineIdentity(ResolveEngine(options.engine)));
  CheckpointModels models(identity);
  H1_ASSIGN_OR_RETURN(const RunLock lock, RunLock::Acquire(options.db));
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store,
                      Store::Open(options.db, Store::Mode::kReadWrite));
  ServerOptions server_options;
  server_options.address = options.address;
  server_options.data =
      options.data.empty() ? tasks::DefaultDataFolder() : std::filesystem::path(options.data);
  server_options.version_json = WriteJson(VersionJson());
  server_options.environment_json = EnvironmentJson(judge.ok() ? (*judge)->profile() : "");
  server_options.coordinator.finish_when_idle = false;
  server_options.coordinator.lease_ttl = std::chrono::milliseconds(options.lease_ttl_ms);
  server_options.coordinator.heartbeat = server_options.coordinator.lease_ttl / 6;
  // Read before anybody can call: the store belongs to the server's thread from then on.
  H1_ASSIGN_OR_RETURN(const auto unfinished, UnfinishedRuns(*store, models, identity));
  H1_ASSIGN_OR_RETURN(const auto server,
                      CoordinatorServer::Start(*store, models, judge.ok() ? judge->get() : nullptr,
                                               server_options));
  for (const auto& [run, tasks] : unfinished) {
    H1_RETURN_IF_ERROR(server->StartRun(run, identity, tasks));
  }
  std::printf("listening on %s, database %s\n", server->address().c_str(), options.db.c_str());
  if (!judge.ok())
    std::printf("code cannot be judged here: %s\n", judge.status().message().c_str());
  std::fflush(stdout);
  while (g_stop == 0) {
    H1_RETURN_IF_ERROR(server->Fatal());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return Status::Ok();
}

const Command kCoordinator(
    "coordinator", "Hand out work to workers and keep what they answer", [](CLI::App& app) {
      auto options = std::make_shared<Options>();
      app.add_option("--db", options->db, "The database; made when it is not there")->required();
      app.add_option("--listen", options->address,
                     "Loopback HOST:PORT to listen on; port 0 takes a free one")
          ->capture_default_str();
      app.add_option("--data", options->data,
                     "Folder of the benchmark files, for suites that name none");
      app.add_option("--engine", options->engine,
                     "The engine that its workers run: auto, cpu, cuda, cuda-emulated or null")
          ->capture_default_str();
      app.add_option("--lease-ttl-ms", options->lease_ttl_ms, "For tests: when silence is death")
          ->check(CLI::Range(100, 600'000))
          ->group("");
      app.footer(
          "It goes on with unfinished runs of the database and waits for more until SIGTERM or "
          "Ctrl-C.\n"
          "Example, in three terminals:\n  h1bench coordinator --db sizes.db\n  h1bench worker "
          "--coordinator 127.0.0.1:7700\n"
          "  h1bench submit sizes.yaml --coordinator 127.0.0.1:7700 --watch");
      return [options] { return Serve(*options); };
    });

}  // namespace
}  // namespace h1bench::cli

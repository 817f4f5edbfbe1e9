#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/run_client.h"
#include "harness/coordinator/progress.h"
#include "harness/store/store.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string coordinator, db, progress = "auto";
  std::int64_t run = 0;
  bool once = false, list = false, json = false;
};

void PrintRuns(const std::vector<v1::RunProgress>& runs) {
  for (const v1::RunProgress& run : runs) {
    std::printf("%lld\t%s\t%s\n", static_cast<long long>(run.run()), run.state().c_str(),
                run.name().c_str());
  }
}

/// From the file alone, for a run whose coordinator is elsewhere or dead.
Status WatchDatabase(const Options& options) {
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store,
                      Store::Open(options.db, Store::Mode::kReadOnly));
  H1_ASSIGN_OR_RETURN(const std::vector<RunRow> rows, store->ListRuns());
  std::vector<v1::RunProgress> runs;
  for (const RunRow& row : rows) {
    v1::RunProgress& run = runs.emplace_back();
    run.set_run(row.id);
    run.set_name(row.name);
    run.set_state(row.state);
    run.set_elapsed_seconds(row.wall_seconds);
  }
  if (options.list) {
    PrintRuns(runs);
    return Status::Ok();
  }
  if (runs.empty()) return NotFound("{}: there is no run yet", options.db);
  const std::int64_t wanted = options.run == 0 ? runs.back().run() : options.run;
  for (v1::RunProgress& run : runs) {
    if (run.run() != wanted) continue;
    ProgressCounter counter;
    H1_RETURN_IF_ERROR(counter.Scan(*store, wanted));
    counter.Describe(run, {});
    run.set_eta_seconds(-1);
    H1_ASSIGN_OR_RETURN(const std::string digest, store->ResultsDigest(wanted));
    if (run.state() == "finished") run.set_results_digest(digest);
    std::printf("%s\n", options.json ? ProgressJson(run).c_str()
                                     : fmt::format("run {} {}: {}\n{}", wanted, run.name(),
                                                   run.state(), ProgressTable(run))
                                           .c_str());
    return Status::Ok();
  }
  return NotFound("{}: there is no run {}", options.db, wanted);
}

Status Watch(const Options& options) {
  if (!options.db.empty()) return WatchDatabase(options);
  RunsClient client(options.coordinator);
  if (options.list) {
    H1_ASSIGN_OR_RETURN(const v1::ListRunsResponse runs, client.List());
    PrintRuns({runs.runs().begin(), runs.runs().end()});
    return Status::Ok();
  }
  return WatchRun(client, options.run, ParseDisplayMode(options.progress), options.once,
                  options.json);
}

const Command kWatch("watch", "Show how far a run is", [](CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("RUN", options->run, "Number of the run; default: the newest");
  AddCoordinatorOption(app, options->coordinator);
  app.add_option("--db", options->db,
                 "Read a database instead of asking a coordinator; shows the state once");
  app.add_flag("--list", options->list, "List the runs: number, state, name, tab-separated");
  app.add_flag("--once", options->once, "Show the state now and leave");
  app.add_option("--progress", options->progress, "auto, plain (lines) or none")
      ->check(CLI::IsMember({"auto", "plain", "none"}))
      ->capture_default_str();
  app.add_flag("--json", options->json, "Print JSON");
  app.footer(
      "Examples:\n  h1bench watch\n  h1bench watch 3 --once --json\n  h1bench watch --db sizes.db "
      "--list");
  return [options] { return Watch(*options); };
});

}  // namespace
}  // namespace h1bench::cli

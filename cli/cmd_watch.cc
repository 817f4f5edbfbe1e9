#include <cstdio>
#include <memory>

#include "base/json.h"
#include "cli/command.h"
#include "cli/run_client.h"
#include "cli/stored_run.h"
#include "harness/coordinator/progress.h"
#include "harness/coordinator/run_list.h"
#include "harness/store/run_names.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string coordinator, db, run, progress = "auto";
  bool once = false, list = false, json = false;
};

void PrintRuns(const google::protobuf::RepeatedPtrField<v1::RunProgress>& runs, bool as_json) {
  Json list{Json::Array{}};
  for (const v1::RunProgress& run : runs) {
    if (!as_json) {
      std::printf("%s\t%lld\t%s\t%s\n", run.id().c_str(), static_cast<long long>(run.run()),
                  run.state().c_str(), run.name().c_str());
    }
    Json one;
    one.Set("id", run.id()).Set("run", run.run());
    list.Push(one.Set("state", run.state()).Set("name", run.name()));
  }
  if (as_json) std::printf("%s\n", WriteJson(list, 2).c_str());
}

/// From the file alone, for a run whose coordinator is elsewhere or dead.
Status WatchDatabase(const Options& options) {
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store,
                      Store::Open(options.db, Store::Mode::kReadOnly));
  if (options.list) {
    H1_ASSIGN_OR_RETURN(const v1::ListRunsResponse runs, DescribeRuns(*store));
    PrintRuns(runs.runs(), options.json);
    return Status::Ok();
  }
  H1_ASSIGN_OR_RETURN(const NamedRun found, FindRun(*store, options.run, options.db));
  v1::RunProgress run = DescribeRun(found);
  ProgressCounter counter;
  H1_RETURN_IF_ERROR(counter.Scan(*store, run.run()));
  counter.Describe(run, {}, {});
  run.set_eta_seconds(-1);
  H1_ASSIGN_OR_RETURN(const std::vector<FailureRow> failures, store->Failures(run.run()));
  for (const FailureRow& failure : failures)
    run.add_failures(failure.worker + ": " + failure.reason);
  if (run.state() == "finished") {
    H1_ASSIGN_OR_RETURN(const std::string digest, store->ResultsDigest(run.run()));
    run.set_results_digest(digest);
  }
  std::printf("%s\n", options.json ? ProgressJson(run).c_str()
                                   : fmt::format("run {} {}: {}\n{}", run.id(), run.name(),
                                                 run.state(), ProgressTable(run))
                                         .c_str());
  return Status::Ok();
}

Status Watch(const Options& options) {
  if (!options.db.empty()) return WatchDatabase(options);
  RunsClient client(options.coordinator);
  if (options.list) {
    H1_ASSIGN_OR_RETURN(const v1::ListRunsResponse runs, client.List());
    PrintRuns(runs.runs(), options.json);
    return Status::Ok();
  }
  H1_ASSIGN_OR_RETURN(const v1::RunProgress run, client.Find(options.run));
  return WatchRun(client, run.run(), ParseDisplayMode(options.progress), options.once,
                  options.json);
}

const Command kWatch("watch", "Show how far a run is", [](CLI::App& app) {
  auto options = std::make_shared<Options>();
  AddRunPositional(app, options->run, "the newest");
  AddCoordinatorOption(app, options->coordinator);
  app.add_option("--db", options->db,
                 "Read a database instead of asking a coordinator; shows the state once");
  app.add_flag("--list", options->list, "List the runs: name, number, state, suite, tab-separated");
  app.add_flag("--once", options->once, "Show the state now and leave");
  app.add_option("--progress", options->progress, "auto, plain (lines) or none")
      ->check(CLI::IsMember({"auto", "plain", "none"}))
      ->capture_default_str();
  app.add_flag("--json", options->json, "Print JSON");
  app.footer(
      "Examples:\n  h1bench watch\n  h1bench watch d3ab --once --json\n  h1bench watch --db "
      "sizes.db "
      "--list");
  return [options] { return Watch(*options); };
});

}  // namespace
}  // namespace h1bench::cli

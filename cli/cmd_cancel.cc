#include <cstdio>
#include <memory>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/run_client.h"
#include "harness/store/lock.h"
#include "harness/store/run_names.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string coordinator, db, run;
};

/// A run that nobody works on is cancelled in its database.
Result<std::string> CancelInDatabase(const Options& options) {
  H1_ASSIGN_OR_RETURN(const RunLock lock, RunLock::Acquire(options.db));
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store,
                      Store::Open(options.db, Store::Mode::kReadWrite));
  H1_ASSIGN_OR_RETURN(const NamedRun run, FindRun(*store, options.run, options.db));
  if (run.row.state != "running")
    return InvalidArgument("{}: run {} is already {}", options.db, run.name, run.row.state);
  H1_RETURN_IF_ERROR(store->FinishRun(run.row.id, "cancelled", 0, Clock::Real().WallUnixMillis()));
  return run.name;
}

Result<std::string> CancelAtCoordinator(const Options& options) {
  RunsClient client(options.coordinator);
  H1_ASSIGN_OR_RETURN(const v1::RunProgress run, client.Find(options.run));
  H1_RETURN_IF_ERROR(client.Cancel(run.run()));
  return run.id();
}

Status Cancel(const Options& options) {
  Result<std::string> name =
      options.db.empty() ? CancelAtCoordinator(options) : CancelInDatabase(options);
  if (name.ok()) std::printf("run %s is cancelled; its answers are kept\n", name->c_str());
  return name.status();
}

const Command kCancel("cancel", "End a run for good; what is answered is kept", [](CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("RUN", options->run, "Name of the run, its beginning, or its number")->required();
  AddCoordinatorOption(app, options->coordinator);
  app.add_option("--db", options->db, "Cancel in this database, when no coordinator works on it");
  app.footer("Examples:\n  h1bench cancel d3ab\n  h1bench cancel d3ab --db sizes.db");
  return [options] { return Cancel(*options); };
});

}  // namespace
}  // namespace h1bench::cli

#include <cstdio>
#include <memory>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/run_client.h"
#include "harness/store/lock.h"
#include "harness/store/store.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string coordinator, db;
  std::int64_t run = 0;
};

/// A run that nobody works on is cancelled in its database.
Status CancelInDatabase(const Options& options) {
  H1_ASSIGN_OR_RETURN(const RunLock lock, RunLock::Acquire(options.db));
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store,
                      Store::Open(options.db, Store::Mode::kReadWrite));
  H1_ASSIGN_OR_RETURN(const RunRow row, store->GetRun(options.run));
  if (row.state != "running")
    return InvalidArgument("{}: run {} is already {}", options.db, options.run, row.state);
  return store->FinishRun(options.run, "cancelled", 0, Clock::Real().WallUnixMillis());
}

Status Cancel(const Options& options) {
  const Status status = options.db.empty() ? RunsClient(options.coordinator).Cancel(options.run)
                                           : CancelInDatabase(options);
  if (status.ok())
    std::printf("run %lld is cancelled; its answers are kept\n",
                static_cast<long long>(options.run));
  return status;
}

const Command kCancel("cancel", "End a run for good; what is answered is kept", [](CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("RUN", options->run, "Number of the run")->required();
  AddCoordinatorOption(app, options->coordinator);
  app.add_option("--db", options->db, "Cancel in this database, when no coordinator works on it");
  app.footer("Examples:\n  h1bench cancel 3\n  h1bench cancel 3 --db sizes.db");
  return [options] { return Cancel(*options); };
});

}  // namespace
}  // namespace h1bench::cli

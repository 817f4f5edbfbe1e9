#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/run_local.h"
#include "cli/run_models.h"
#include "cli/stored_run.h"
#include "harness/store/lock.h"
#include "runner/worker/identity.h"
#include "tasks/sandbox/judge.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::int64_t run = 0;
  RunArguments arguments;
};

Status Resume(const Options& options) {
  // The launcher is forked before SQLite, gRPC and threads exist, so before it is known whether the
  // run has code to judge.
  Result<std::unique_ptr<tasks::CodeJudge>> judge = tasks::LaunchJudge();
  std::filesystem::path db = options.arguments.db;
  if (db.empty()) {
    H1_ASSIGN_OR_RETURN(db, NewestDatabase());
  }
  if (!std::filesystem::exists(db)) return NotFound("{}: there is no such database", db.string());
  H1_ASSIGN_OR_RETURN(const RunLock lock, RunLock::Acquire(db));
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, Store::Open(db, Store::Mode::kReadWrite));
  std::int64_t run = options.run;
  if (run == 0) {
    H1_ASSIGN_OR_RETURN(run, store->LastUnfinishedRun());
  }
  H1_ASSIGN_OR_RETURN(const RunRow row, store->GetRun(run));
  if (row.state != "running")
    return InvalidArgument("{}: run {} is {}; there is nothing to resume", db.string(), run,
                           row.state);
  H1_ASSIGN_OR_RETURN(const KeptOptions kept, ReadKept(row));

  RunArguments arguments = options.arguments;
  if (!kept.engine.empty()) arguments.engine.engine = kept.engine;
  H1_ASSIGN_OR_RETURN(const std::string identity,
                      EngineIdentity(ResolveEngine(arguments.engine.engine)));
  if (identity != kept.identity) {
    return FailedPrecondition(
        "run {} was planned for the engine \"{}\", this is \"{}\": the answers would not be the "
        "same bits. Resume with the "
        "program and machine that began it, or run the suite again.",
        run, kept.identity, identity);
  }
  CheckpointModels models(identity);
  const std::string data =
      arguments.data.empty() ? kept.data : std::filesystem::absolute(arguments.data).string();
  H1_ASSIGN_OR_RETURN(TaskSet loaded, LoadTasksOfRun(*store, run, models, data));
  if (loaded.NeedsJudge() && !judge.ok()) return judge.status();
  std::fprintf(stderr, "resuming run %lld (%s) of %s\n", static_cast<long long>(run),
               row.name.c_str(), db.c_str());
  return ExecuteLocally({*store, models, judge.ok() ? judge->get() : nullptr, run, identity,
                         std::make_shared<const TaskSet>(std::move(loaded)), db},
                        arguments);
}

const Command kResume("resume", "Go on with a run that was paused, killed or cut off",
                      [](CLI::App& app) {
                        auto options = std::make_shared<Options>();
                        app.add_option("RUN", options->run,
                                       "Number of the run; default: the last unfinished one");
                        AddRunArguments(app, options->arguments);
                        app.footer(
                            "Workers, batch and memory may differ from before: the results do "
                            "not.\nExample:\n  h1bench resume --db sizes.db --workers 2");
                        return [options] { return Resume(*options); };
                      });

}  // namespace
}  // namespace h1bench::cli

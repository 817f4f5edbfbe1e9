#include <cstdio>
#include <map>
#include <memory>

#include "cli/command.h"
#include "cli/run_local.h"
#include "cli/run_models.h"
#include "cli/run_plan.h"
#include "cli/stored_run.h"
#include "cli/units.h"
#include "harness/store/lock.h"
#include "harness/store/run_names.h"
#include "runner/worker/identity.h"
#include "tasks/sandbox/judge.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string run;
  RunArguments arguments;
};

/// The one named, or the last unfinished one.
Result<NamedRun> RunToResume(Store& store, const std::string& which, const std::string& db) {
  if (!which.empty()) return FindRun(store, which, db);
  H1_ASSIGN_OR_RETURN(const std::int64_t run, store.LastUnfinishedRun());
  return FindRun(store, std::to_string(run), db);
}

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
  H1_ASSIGN_OR_RETURN(const NamedRun found, RunToResume(*store, options.run, db.string()));
  const RunRow& row = found.row;
  const std::int64_t run = row.id;
  if (row.state != "running")
    return InvalidArgument("{}: run {} is {}; there is nothing to resume", db.string(), found.name,
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
        found.name, kept.identity, identity);
  }
  CheckpointModels models(identity);
  const std::string data =
      arguments.data.empty() ? kept.data : std::filesystem::absolute(arguments.data).string();
  H1_ASSIGN_OR_RETURN(TaskSet loaded, LoadTasksOfRun(*store, run, models, data));
  if (loaded.NeedsJudge() && !judge.ok()) return judge.status();
  H1_RETURN_IF_ERROR(ShareOut(arguments.engine, arguments.workers));
  H1_ASSIGN_OR_RETURN(const auto variants, store->Variants(run));
  H1_ASSIGN_OR_RETURN(const auto run_tasks, store->Tasks(run));
  H1_ASSIGN_OR_RETURN(const auto pending, store->PendingSamples(run));
  std::fprintf(stderr, "resuming run %s (%s), %s requests left\n", found.name.c_str(),
               row.name.c_str(), FormatCount(static_cast<std::int64_t>(pending.size())).c_str());
  H1_ASSIGN_OR_RETURN(const RunPlan plan,
                      PlanRun({variants, run_tasks, pending, StoredPrompts(*store), models,
                               arguments, store.get()}));
  PrintPlan(plan, db, stderr);
  std::map<std::int64_t, VariantRow> by_id;
  for (const VariantRow& variant : variants) by_id[variant.id] = variant;
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<WorkerPool> pool,
                      StartWorkers(plan, by_id, models, arguments, db));
  return ExecuteLocally({*store, models, judge.ok() ? judge->get() : nullptr, run, identity,
                         std::make_shared<const TaskSet>(std::move(loaded)), db, plan, *pool},
                        arguments);
}

const Command kResume("resume", "Go on with a run that was paused, killed or cut off",
                      [](CLI::App& app) {
                        auto options = std::make_shared<Options>();
                        AddRunPositional(app, options->run, "the last unfinished one");
                        AddRunArguments(app, options->arguments);
                        app.footer(
                            "Workers, batch and memory may differ from before: the results do "
                            "not.\nExamples:\n  h1bench resume --db sizes.db --workers 2\n  "
                            "h1bench resume d3ab --db sizes.db --progress plain");
                        return [options] { return Resume(*options); };
                      });

}  // namespace
}  // namespace h1bench::cli

#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/run_local.h"
#include "cli/run_models.h"
#include "cli/run_plan.h"
#include "cli/units.h"
#include "cli/version.h"
#include "harness/coordinator/planner.h"
#include "harness/store/lock.h"
#include "harness/store/run_names.h"
#include "harness/suite/suite.h"
#include "runner/worker/identity.h"
#include "tasks/data/manifest.h"
#include "tasks/sandbox/judge.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string suite;
  RunArguments run;
  bool dry_run = false;
};

/// What will be done, and that its data and sandbox are there.
void PrintHead(const Plan& plan, bool judge) {
  std::set<std::string> models;
  for (const VariantRow& variant : plan.variants) models.insert(variant.model_name);
  std::fprintf(stderr, "%s   %zu model%s, %zu variants × %zu tasks = %zu cells, %s requests\n",
               plan.run.name.c_str(), models.size(), models.size() == 1 ? "" : "s",
               plan.variants.size(), plan.tasks.size(), plan.variants.size() * plan.tasks.size(),
               FormatCount(static_cast<std::int64_t>(plan.samples.size())).c_str());
  std::string names;
  for (const RunTaskRow& task : plan.tasks) names += " " + task.name + " ✓";
  std::fprintf(stderr, "  data%s%s\n", names.c_str(), judge ? " (sandbox ✓)" : "");
}

/// With the places in the plan as ids.
Result<RunPlan> PlanOf(const Plan& plan, const CheckpointModels& models,
                       const RunArguments& arguments, Store* store) {
  const auto prompt = [&plan](const SampleRow& sample) { return plan.Prompt(sample); };
  PlanInput input{plan.variants, plan.tasks, plan.samples, prompt, models, arguments, store};
  for (std::size_t i = 0; i < input.variants.size(); ++i)
    input.variants[i].id = static_cast<std::int64_t>(i);
  for (std::size_t i = 0; i < input.tasks.size(); ++i)
    input.tasks[i].id = static_cast<std::int64_t>(i);
  return PlanRun(input);
}

/// Places in the plan become the ids that it was stored with.
void TakeStoredIds(const Plan& plan, RunPlan& run) {
  const auto variant = [&](std::int64_t at) {
    return plan.variants[static_cast<std::size_t>(at)].id;
  };
  const auto cells = std::exchange(run.estimate.cells, {});
  for (const auto& [place, cell] : cells) {
    run.estimate
        .cells[{variant(place.first), plan.tasks[static_cast<std::size_t>(place.second)].id}] =
        cell;
  }
  for (std::int64_t& first : run.first_variants) first = variant(first);
}

/// The database of a dry run: read, if it is there.
Result<std::unique_ptr<Store>> OpenToLook(const std::filesystem::path& db) {
  if (!std::filesystem::exists(db)) return std::unique_ptr<Store>();
  return Store::Open(db, Store::Mode::kReadOnly);
}

Status ShowOnly(const Plan& plan, const CheckpointModels& models, const RunArguments& arguments,
                const std::filesystem::path& db) {
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, OpenToLook(db));
  H1_ASSIGN_OR_RETURN(const RunPlan run, PlanOf(plan, models, arguments, store.get()));
  if (arguments.json) {
    std::printf("%s\n", WriteJson(PlanJson(run), 2).c_str());
  } else {
    PrintPlan(run, db, stdout);
  }
  return Status::Ok();
}

Status RunSuite(const Options& options) {
  const std::filesystem::path suite_path =
      std::filesystem::absolute(options.suite).lexically_normal();
  H1_ASSIGN_OR_RETURN(const Suite suite, LoadSuite(options.suite));
  const std::string engine = ResolveEngine(options.run.engine.engine);
  H1_ASSIGN_OR_RETURN(const std::string identity, EngineIdentity(engine));
  CheckpointModels models(identity);
  PlanOptions plan_options;
  plan_options.suite_path = suite_path;
  plan_options.data =
      std::filesystem::absolute(!options.run.data.empty() ? std::filesystem::path(options.run.data)
                                : !suite.data.empty()     ? suite.data
                                                          : tasks::DefaultDataFolder())
          .lexically_normal();
  plan_options.options.Set("engine", engine);
  plan_options.version_json = WriteJson(VersionJson());
  plan_options.environment_json = EnvironmentJson();
  plan_options.created_unix_ms = Clock::Real().WallUnixMillis();
  H1_ASSIGN_OR_RETURN(Plan plan, MakePlan(suite, models, plan_options));

  // The launcher is forked before SQLite, gRPC and threads exist.
  std::unique_ptr<tasks::CodeJudge> judge;
  if (plan.NeedsJudge()) {
    H1_ASSIGN_OR_RETURN(judge, tasks::LaunchJudge());
    plan.run.environment_json = EnvironmentJson(judge->profile());
  }
  RunArguments arguments = options.run;
  H1_RETURN_IF_ERROR(ShareOut(arguments.engine, arguments.workers));
  PrintHead(plan, judge != nullptr);
  std::filesystem::path db = options.run.db;
  if (db.empty()) db = std::filesystem::path("h1bench-results") / (suite.name + ".db");
  if (options.dry_run) return ShowOnly(plan, models, arguments, db);
  std::error_code error;
  if (db.has_parent_path()) std::filesystem::create_directories(db.parent_path(), error);
  if (error)
    return IoError("{}: cannot create the folder: {}", db.parent_path().string(), error.message());
  H1_ASSIGN_OR_RETURN(const RunLock lock, RunLock::Acquire(db));
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, Store::Open(db, Store::Mode::kReadWrite));
  H1_ASSIGN_OR_RETURN(RunPlan run_plan, PlanOf(plan, models, arguments, store.get()));
  PrintPlan(run_plan, db, stderr);
  // They start, and load, while the run is stored.
  std::map<std::int64_t, VariantRow> by_place;
  for (const VariantRow& variant : plan.variants) by_place.emplace(std::ssize(by_place), variant);
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<WorkerPool> pool,
                      StartWorkers(run_plan, by_place, models, arguments, db));
  auto tasks = std::make_shared<TaskSet>();
  H1_ASSIGN_OR_RETURN(const std::int64_t run, StorePlan(*store, plan, *tasks));
  TakeStoredIds(plan, run_plan);
  plan = Plan();
  H1_ASSIGN_OR_RETURN(const NamedRun named, FindRun(*store, std::to_string(run), db.string()));
  std::fprintf(stderr, "  run %s\n", named.name.c_str());
  return ExecuteLocally({*store, models, judge.get(), run, identity, tasks, db, run_plan, *pool},
                        arguments);
}

const Command kRun("run", "Evaluate a suite on this machine, from checkpoints to leaderboard",
                   [](CLI::App& app) {
                     auto options = std::make_shared<Options>();
                     app.add_option("SUITE", options->suite, "The suite, a YAML file")->required();
                     AddRunArguments(app, options->run);
                     app.add_flag("--dry-run", options->dry_run,
                                  "Print what it would need and take (memory, tokens, time); run "
                                  "and store nothing");
                     app.footer(
                         "Every answer is stored as it comes. Ctrl-C pauses (exit code 130); "
                         "`h1bench resume` goes on, after a crash too.\n"
                         "Examples:\n  h1bench run demo/suite.yaml --workers 2\n  h1bench run "
                         "sizes.yaml --data ~/benchmarks --memory 16GB --db sizes.db\n  "
                         "h1bench run sizes.yaml --dry-run --json");
                     return [options] { return RunSuite(*options); };
                   });

}  // namespace
}  // namespace h1bench::cli

#include <cstdio>
#include <memory>
#include <set>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/run_local.h"
#include "cli/run_models.h"
#include "cli/units.h"
#include "cli/version.h"
#include "harness/coordinator/planner.h"
#include "harness/coordinator/shards.h"
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
};

/// What will be done and what it takes, before it begins.
void PrintPlan(const Plan& plan, const RunArguments& arguments, const std::filesystem::path& db,
               bool judge) {
  std::set<std::string> models;
  for (const VariantRow& variant : plan.variants) models.insert(variant.model_name);
  std::fprintf(stderr, "%s   %zu model%s, %zu variants × %zu tasks = %zu cells, %s requests\n",
               plan.run.name.c_str(), models.size(), models.size() == 1 ? "" : "s",
               plan.variants.size(), plan.tasks.size(), plan.variants.size() * plan.tasks.size(),
               FormatCount(static_cast<std::int64_t>(plan.samples.size())).c_str());
  std::vector<std::int64_t> tokens(plan.variants.size()), computed(plan.variants.size());
  for (const SampleRow& sample : plan.samples)
    tokens[static_cast<std::size_t>(sample.variant_id)] += sample.cost_tokens;
  for (const Shard& shard :
       BuildShards(plan.samples, ChooseLimits(plan.samples, arguments.workers))) {
    computed[static_cast<std::size_t>(shard.variant_id)] += shard.cost;
  }
  const std::int64_t free = FreeMemory();
  for (std::size_t i = 0; i < plan.variants.size(); ++i) {
    const VariantRow& variant = plan.variants[i];
    std::fprintf(
        stderr,
        "  %-28s %-5s %9s weights a worker, %s free   up to %s tokens (%s with prefix reuse)\n",
        variant.model_name.c_str(), variant.precision.c_str(),
        FormatBytes(variant.weight_bytes).c_str(), FormatBytes(free).c_str(),
        FormatCount(tokens[i]).c_str(), FormatCount(computed[i]).c_str());
  }
  std::string names;
  for (const RunTaskRow& task : plan.tasks) names += " " + task.name;
  std::fprintf(stderr, "  tasks%s%s   %lld worker%s   database %s\n", names.c_str(),
               judge ? " (code is judged in a sandbox)" : "",
               static_cast<long long>(arguments.workers), arguments.workers == 1 ? "" : "s",
               db.c_str());
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
  std::filesystem::path db = options.run.db;
  if (db.empty()) db = std::filesystem::path("h1bench-results") / (suite.name + ".db");
  std::error_code error;
  if (db.has_parent_path()) std::filesystem::create_directories(db.parent_path(), error);
  if (error)
    return IoError("{}: cannot create the folder: {}", db.parent_path().string(), error.message());
  PrintPlan(plan, options.run, db, judge != nullptr);
  H1_ASSIGN_OR_RETURN(const RunLock lock, RunLock::Acquire(db));
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, Store::Open(db, Store::Mode::kReadWrite));
  auto tasks = std::make_shared<TaskSet>();
  H1_ASSIGN_OR_RETURN(const std::int64_t run, StorePlan(*store, plan, *tasks));
  plan = Plan();
  H1_ASSIGN_OR_RETURN(const NamedRun named, FindRun(*store, std::to_string(run), db.string()));
  std::fprintf(stderr, "  run %s\n", named.name.c_str());
  return ExecuteLocally({*store, models, judge.get(), run, identity, tasks, db}, options.run);
}

const Command kRun("run", "Evaluate a suite on this machine, from checkpoints to leaderboard",
                   [](CLI::App& app) {
                     auto options = std::make_shared<Options>();
                     app.add_option("SUITE", options->suite, "The suite, a YAML file")->required();
                     AddRunArguments(app, options->run);
                     app.footer(
                         "Every answer is stored as it comes. Ctrl-C pauses (exit code 130); "
                         "`h1bench resume` goes on, after a crash too.\n"
                         "Examples:\n  h1bench run demo/suite.yaml --workers 2\n  h1bench run "
                         "sizes.yaml --data ~/benchmarks --memory 16GB --db sizes.db");
                     return [options] { return RunSuite(*options); };
                   });

}  // namespace
}  // namespace h1bench::cli

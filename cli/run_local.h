#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "base/status.h"
#include "cli/run_options.h"
#include "cli/run_plan.h"
#include "cli/run_workers.h"
#include "harness/coordinator/task_set.h"
#include "harness/store/store.h"
#include "tasks/task.h"

namespace h1bench::cli {

/// A run that is stored and ready to be worked on by this machine.
struct LocalRun {
  Store& store;
  CheckpointModels& models;
  tasks::CodeJudge* judge = nullptr;
  std::int64_t run = 0;
  std::string identity;
  std::shared_ptr<const TaskSet> tasks;
  std::filesystem::path db;
  RunPlan plan;
  WorkerPool& pool;  // of StartWorkers
};

/// Starts the plan's workers, which begin to load what they will need first. Nothing is leased to
/// them before ExecuteLocally, and they end with the pool. `variants`: of the plan, by its ids.
Result<std::unique_ptr<WorkerPool>> StartWorkers(const RunPlan& plan,
                                                 const std::map<std::int64_t, VariantRow>& variants,
                                                 const CheckpointModels& models,
                                                 const RunArguments& arguments,
                                                 const std::filesystem::path& db);

/// `arguments` as ShareOut left them. Coordinator in this process, the workers beside it, progress,
/// and the result at the end. kCancelled when Ctrl-C or SIGTERM paused it; the message says how to
/// go on.
Status ExecuteLocally(const LocalRun& run, const RunArguments& arguments);

}  // namespace h1bench::cli

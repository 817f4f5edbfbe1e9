#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "harness/coordinator/model_source.h"
#include "harness/coordinator/task_set.h"
#include "harness/store/store.h"
#include "harness/suite/suite.h"

namespace h1bench {

struct PlanOptions {
  std::filesystem::path suite_path;  // absolute
  std::filesystem::path data;        // folder of the benchmark files
  Json options;                      // object kept with the run; "identity" and "data" are added
  std::string version_json = "{}", environment_json = "{}";
  std::int64_t created_unix_ms = 0;
};

/// A suite turned into rows, not yet stored. In `samples`, variant_id and run_task_id are places in
/// `variants` and `tasks` until StorePlan gives them ids; id counts them from 1. Samples do not
/// hold their prompts: a long one would be there once for every variant and repeat.
struct Plan {
  RunRow run;
  std::vector<VariantRow> variants;
  std::vector<RunTaskRow> tasks;
  std::vector<SampleRow> samples;
  std::vector<std::vector<std::shared_ptr<const LoadedTask>>>
      loaded;            // by place of variant, then task
  std::string identity;  // ModelSource::Identity()
  /// The prompt of a sample, made anew from its document.
  Result<std::string> Prompt(const SampleRow& sample) const;
  /// Does a task judge code?
  bool NeedsJudge() const;
};

/// Reads every model and every task's data and builds every request. Slow (digests read whole
/// models) and without a database, so that it can run beside a working coordinator.
Result<Plan> MakePlan(const Suite& suite, ModelSource& models, const PlanOptions& options);

/// Stores the plan in one transaction; returns the run. Fills in ids and `tasks` for the scorer.
Result<std::int64_t> StorePlan(Store& store, Plan& plan, TaskSet& tasks);

}  // namespace h1bench

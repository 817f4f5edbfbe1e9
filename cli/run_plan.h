#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/run_models.h"
#include "cli/run_options.h"
#include "harness/coordinator/estimate.h"
#include "harness/coordinator/shards.h"
#include "harness/store/store.h"
#include "kernels/backend.h"

/// What a run will need and take, found out before it starts: memory by the engine's own
/// arithmetic, tokens by its own tokenizer and prefix trie, time from measured rates.
namespace h1bench::cli {

/// One variant on one task.
struct CellPlan {
  std::int64_t task_id = 0;
  std::string task;
  std::int64_t requests = 0, prompt_tokens = 0;
  std::int64_t computed_tokens = 0;   // of the prompts, shared prefixes once
  std::int64_t generated_tokens = 0;  // expected
  double expected_tokens = 0;         // of one answer; 0: nothing is generated
  double seconds = 0;                 // of one worker; 0: not known
  CellEstimate live;
};

struct VariantPlan {
  std::int64_t id = 0;
  std::string model, precision;
  std::int64_t file_bytes = 0;
  MemoryPlan memory;        // the most that a worker will hold
  double load_seconds = 0;  // reading, checking and packing the weights
  std::vector<CellPlan> cells;
};

struct RunPlan {
  std::vector<VariantPlan> variants;         // empty for the null engine
  std::int64_t workers = 1, budget = 0;      // budget: bytes of one worker
  RunEstimate estimate;                      // by the ids of the input
  std::vector<std::int64_t> first_variants;  // that the workers need first, by the input's ids
  double measuring_seconds = 0;              // spent on rates that no database had
  std::string no_estimate;                   // why there is none, or empty
};

struct PlanInput {
  std::vector<VariantRow> variants;
  std::vector<RunTaskRow> tasks;
  const std::vector<SampleRow>& samples;  // to be answered; with ids, all different, no prompts
  PromptOf prompt;                        // of a sample
  const CheckpointModels& models;         // where every variant's folder was read
  const RunArguments& arguments;          // shared out (ShareOut)
  Store* store = nullptr;                 // where rates are kept; may be null
};

/// kResourceExhausted when a worker's memory cannot hold it: what is needed, what there is and what
/// would fit.
Result<RunPlan> PlanRun(const PlanInput& input);

/// The plan as people read it before the run begins, a block of lines.
std::string PlanText(const RunPlan& plan);
/// That, and where the results go.
void PrintPlan(const RunPlan& plan, const std::filesystem::path& db, std::FILE* to);
Json PlanJson(const RunPlan& plan);

}  // namespace h1bench::cli

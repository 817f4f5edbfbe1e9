#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "harness/store/store.h"
#include "reports/by_length.h"
#include "reports/speed.h"
#include "reports/statistics/interval.h"

/// The report as data: everything a renderer prints, computed from the database alone. Renderers
/// (reports/render) turn it into text and decide nothing.
namespace h1bench::reports {

struct ReportOptions {
  bool timing = true;  // false: nothing that may differ between executions (--no-timing)
  std::size_t documents_per_task = 200;  // in the sample viewer, each with every model's answers
  std::size_t sample_bytes = 16384;  // of a prompt or response shown; its middle is cut and said so
};

/// A score under a name: a metric, a subject, a group, a context length.
struct NamedEstimate {
  std::string name;
  Estimate estimate;
};

struct GridCell {
  std::int64_t length = 0;
  double depth = 0;  // percent
  Estimate estimate;
};

/// How one variant did on one task.
struct Cell {
  bool complete = false;       // every sample has a score
  std::string missing_reason;  // why there is no score ("not run yet"); empty when there is one
  std::string partly_missing;  // why some of its lengths have none; empty when all have
  Estimate primary;            // of the task's primary metric, with its headline average
  std::vector<NamedEstimate>
      metrics;  // every metric, in the task's order; pass@k where repeats allow
  std::vector<NamedEstimate> subsets;  // primary metric by subset, in order of names
  std::vector<NamedEstimate> groups;   // micro average by group
  std::optional<Estimate> macro;       // mean over subsets, when there are several
  std::vector<GridCell> grid;          // niah
  ByLength by_length;                  // ruler
  std::int64_t samples = 0, scored = 0, errors = 0, poisoned = 0, truncated = 0, empty = 0,
               invalid = 0;
  std::int64_t at_limit = 0;                     // answers that ended at max_new_tokens
  std::int64_t double_bos = 0, missing_bos = 0;  // prompts as fed; missing: where the task asks
  std::vector<std::pair<std::string, std::int64_t>> verdicts;  // code: verdict -> count, sorted
  std::int64_t prompt_tokens = 0, generated_tokens = 0;
  // timing
  std::int64_t reused_tokens = 0;    // of shared prefixes, not computed again
  std::int64_t computed_tokens = 0;  // prompt and generated tokens of responses made by this run
  std::int64_t looked_up = 0;        // samples answered by an earlier run of this database
  std::int64_t computed = 0;         // responses made by this run
  double computed_score = 0;         // the sum of their primary metric
};

struct ReportTask {
  std::int64_t id = 0;
  std::string name, task, data_digest, kind, primary, protocol, headline;
  std::int64_t shots = 0;
  Json options;            // the keys of its entry in the suite, as written
  bool wants_bos = false;  // by the switch bos or its chat template
  std::optional<double> chance;
  Json describe;
  std::vector<std::string> warnings;  // those of Report::warnings that are about this task
};

struct ReportVariant {
  std::int64_t id = 0;
  std::string name, precision, digest;
  std::int64_t parameters = 0, weight_bytes = 0, max_length = 0;
  std::optional<std::int64_t> bos_id;
  std::optional<Estimate>
      average;              // over the tasks it has scores for; absent unless it has all of them
  std::vector<Cell> cells;  // parallel to Report::tasks
  std::int64_t prompt_tokens = 0, generated_tokens = 0;
  // timing
  double busy_seconds = 0;       // inside the engines of all workers, model loading apart
  double tokens_per_second = 0;  // tokens of this run's own responses over busy seconds; 0: none
  struct Memory {
    std::int64_t weights = 0, kv = 0, state = 0, workspace = 0, context = 0, peak_rss = 0;
  };
  std::optional<Memory> memory;                                      // the largest of its workers
  std::optional<double> joules_per_answer, joules_per_right_answer;  // of this run's own answers
  std::vector<std::pair<std::string, Json>> gpus;  // worker -> what NVML told of its GPU
  Speed speed;

  std::string label() const { return name + " " + precision; }
};

/// A prompt as the sample viewer shows it: Report::prefixes[prefix], if any, then the text.
struct ReportPrompt {
  std::optional<std::size_t> prefix;
  std::string text;
  bool cut = false;
};

struct ReportSample {
  std::size_t variant = 0, task = 0, prompt = 0;  // places in Report
  std::string subset, document_id, response, extracted, gold, verdict, detail;
  std::int64_t index = 0, repeat = 0;
  double score = 0;     // primary metric
  bool differ = false;  // one model has this document right and another does not
  bool response_cut = false;
  std::vector<double> loglikelihoods;
  std::int64_t prompt_tokens = 0, generated_tokens = 0, truncated_tokens = 0;
  double seconds = 0;  // timing
};

struct Report {
  std::int64_t run = 0;
  std::string run_name;                    // timing: "d3ab"
  std::string title, description, answer;  // answer: the one sentence a reader came for
  std::string created;                     // timing: "2026-11-24 09:30 UTC"
  std::string state, suite_text;
  std::int64_t seed = 0;
  std::vector<ReportTask> tasks;
  std::vector<ReportVariant> variants;  // in the suite's order
  std::vector<std::size_t> ranking;     // places in variants, best average first
  std::vector<ReportSample> samples;    // those shown, by task, subset, index, repeat and variant
  std::vector<ReportPrompt> prompts;    // of the samples shown, each once
  std::vector<std::string> prefixes;    // what the prompts of a subset begin with
  std::int64_t samples_total = 0;
  std::vector<std::string> warnings;  // things worth a look, one sentence each
  std::vector<std::pair<std::string, std::string>> methods;  // reproducibility, label -> value
  std::vector<std::pair<std::string, Json>> environment;     // timing: machine, workers, wall time
  std::string results_digest;
  std::string database_digest;  // timing; empty with --no-timing
  bool timing = true;
};

/// Reads a run (0: the newest) into a report. The store is only read.
Result<Report> BuildReport(Store& store, std::int64_t run, const ReportOptions& options);

/// Sentences every report carries: what the bits promise and what is not claimed.
std::vector<std::string> ScopeOfDeterminism();

}  // namespace h1bench::reports

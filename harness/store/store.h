#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/status.h"

/// One SQLite file holds everything a report needs. WAL, synchronous=FULL, STRICT tables, foreign
/// keys, migrations, one writing connection. The schema is in schema.cc; every column says what it
/// holds there.
namespace h1bench {

struct VariantRow {
  std::int64_t id = 0;
  std::string model_name, model_path, model_digest, precision;
  std::int64_t max_length = 0, parameters = 0, weight_bytes = 0;  // weight_bytes at this precision
  std::string config_json;                                        // config.json as read
};

struct RunTaskRow {
  std::int64_t id = 0;
  std::string name, task, options_json, data_digest,
      describe_json;  // describe_json: tasks::Task::Describe()
};

/// A document that killed this many workers is never leased again.
inline constexpr std::int64_t kLossesToPoison = 3;

/// One document's request for one variant and repeat.
struct SampleRow {
  std::int64_t id = 0, variant_id = 0, run_task_id = 0;
  std::string subset, document_id, gold;
  std::int64_t index = 0, repeat = 0;
  std::string request_key;  // content address, 64 hex digits
  std::string prompt;       // empty where a list of samples leaves the texts out
  std::string prompt_sha256;
  std::string request_json;      // {"continuations":[..],"stops":[..],"max_new_tokens":n,...}
  std::int64_t cost_tokens = 0;  // estimate, for shards and the ETA
  std::int64_t attempts = 0;     // leases that held it in this run; 0: answered by an earlier run
  std::int64_t losses = 0;       // workers that died while they held it; not written by CreateRun
};

struct ResponseRow {
  std::string key;
  std::string text;
  std::vector<double> loglikelihoods;
  std::vector<bool> is_greedy;
  std::int64_t prompt_tokens = 0, generated_tokens = 0, truncated_tokens = 0, reused_tokens = 0;
  std::vector<std::int32_t> first_ids, last_ids;
  std::string finish, error;  // error: the engine could not answer, and why (final, not retried)
  double queue_seconds = 0, prefill_seconds = 0,
         decode_seconds = 0;  // timing: may differ from run to run
  std::string worker;
  std::vector<std::int32_t> inter_token_us;  // timing: one fewer than generated tokens, or none
};

struct ScoreRow {
  std::int64_t sample_id = 0;
  std::string extracted, verdict, detail;
  std::vector<std::pair<std::string, double>> scores;
  std::int64_t version = 1;
};

/// What a worker used for a variant, as it reported it last.
struct MemoryRow {
  std::int64_t variant_id = 0;
  std::string worker;  // name#incarnation: a worker that came back has a row of its own
  /// {"weights": b, "kv": b, "state": b, "workspace": b, "context": b, "peak_rss": b,
  /// "engine_seconds": s, "prefill_seconds": s, "decode_seconds": s, "mixed_seconds": s,
  /// "gpu": {...}}, bytes, seconds; gpu: ToJson of runner/worker/telemetry.h,
  /// where one was watched
  std::string memory_json;
};

struct WorkerRow {
  std::string worker, environment_json;
};

/// What an engine answered to the probes of a variant (Engine::Probe), and who said so first.
struct ProbeRow {
  std::string digest, worker;
};

/// A worker that was refused, or left because it could not do the work.
struct FailureRow {
  std::string worker, reason;
};

struct RunRow {
  std::int64_t id = 0;
  std::string name, description, suite_text, suite_path, options_json, version_json,
      environment_json;
  std::int64_t seed = 0, created_unix_ms = 0, finished_unix_ms = 0;
  std::string state;        // "running", "finished", "cancelled"
  double wall_seconds = 0;  // over all its executions
};

struct LeaseGrant {
  std::int64_t lease_id = 0, attempt = 0;
  std::vector<std::int64_t> sample_ids;
};

/// All methods fail with a Status that names the database. Not thread-safe: one owner thread, or a
/// mutex around it.
class Store {
 public:
  enum class Mode { kReadWrite, kReadOnly };
  static Result<std::unique_ptr<Store>> Open(const std::filesystem::path& file, Mode mode);
  virtual ~Store() = default;

  // --- planning: one transaction for a whole run ---
  /// Inserts run, variants (deduplicated by digest, precision, max_length), tasks and samples;
  /// fills in the ids.
  virtual Result<std::int64_t> CreateRun(
      RunRow run, std::vector<VariantRow>& variants, std::vector<RunTaskRow>& tasks,
      const std::function<Status(const std::function<Status(SampleRow)>& add)>& samples) = 0;
  /// 0: the newest.
  virtual Result<RunRow> GetRun(std::int64_t run) = 0;
  virtual Result<std::vector<RunRow>> ListRuns() = 0;
  /// The newest run whose state is "running", or kNotFound.
  virtual Result<std::int64_t> LastUnfinishedRun() = 0;
  virtual Status FinishRun(std::int64_t run, const std::string& state, double wall_seconds,
                           std::int64_t unix_ms) = 0;
  virtual Result<std::vector<VariantRow>> Variants(std::int64_t run) = 0;
  virtual Result<std::vector<RunTaskRow>> Tasks(std::int64_t run) = 0;

  // --- work ---
  /// Samples of the run that have no response with their key yet and are not poisoned, ordered by
  /// id. Without the texts of their prompts: all together they may not fit into memory.
  virtual Result<std::vector<SampleRow>> PendingSamples(std::int64_t run) = 0;
  /// The text of a prompt by its SHA-256.
  virtual Result<std::string> Prompt(const std::string& sha256) = 0;
  virtual Result<SampleRow> GetSample(std::int64_t sample) = 0;
  /// Records a worker incarnation with its environment (JSON).
  virtual Status RecordWorker(std::int64_t run, const std::string& worker,
                              const std::string& incarnation,
                              const std::string& environment_json) = 0;
  virtual Result<LeaseGrant> GrantLease(std::int64_t run, const std::string& worker,
                                        const std::string& incarnation,
                                        const std::vector<std::int64_t>& sample_ids) = 0;
  /// Stores responses in one transaction that also checks that the lease is live with this attempt
  /// and incarnation (kFailedPrecondition otherwise, nothing stored). Equal duplicates are ignored;
  /// different ones go to `divergence`. Returns after COMMIT. `last` closes the lease.
  virtual Status SubmitResponses(std::int64_t lease, std::int64_t attempt,
                                 const std::string& incarnation,
                                 const std::vector<std::pair<std::int64_t, ResponseRow>>& responses,
                                 bool last) = 0;
  /// Takes a lease back. With `lost` (the worker died or went silent) each unanswered sample counts
  /// one loss; a sample with three losses is poisoned. Returns the samples that became poisoned.
  virtual Result<std::vector<std::int64_t>> RevokeLease(std::int64_t lease, bool lost) = 0;
  /// At start of an execution: every open lease of the run is revoked without a loss.
  virtual Status RevokeAllLeases(std::int64_t run) = 0;
  virtual Status RecordMemory(std::int64_t run, std::int64_t variant, const std::string& worker,
                              const std::string& memory_json) = 0;
  /// Keeps the first probe of (variant, identity) and returns the one that is kept.
  virtual Result<ProbeRow> RecordProbe(std::int64_t variant, const std::string& identity,
                                       const ProbeRow& probe) = 0;
  virtual Status RecordFailure(std::int64_t run, const FailureRow& failure) = 0;

  // --- scores ---
  /// Calls `each` for every sample of the run that has a response (or is poisoned: null) and no
  /// score of `version`.
  virtual Status ForEachUnscored(
      std::int64_t run, std::int64_t version,
      const std::function<Status(const SampleRow&, const ResponseRow*)>& each) = 0;
  virtual Status InsertScores(const std::vector<ScoreRow>& scores) = 0;

  // --- reading, in the fixed order (model, precision, task, subset, index, repeat) ---
  using EachSample = std::function<Status(const VariantRow&, const RunTaskRow&, const SampleRow&,
                                          const ResponseRow*, const ScoreRow*)>;
  /// With the newest score of each sample among those up to `version`; null where there is none.
  virtual Status ForEachSampleAt(std::int64_t run, std::int64_t version,
                                 const EachSample& each) = 0;
  Status ForEachSample(std::int64_t run, const EachSample& each) {
    return ForEachSampleAt(run, std::numeric_limits<std::int64_t>::max(), each);
  }
  /// Samples and their cost, by variant and task.
  struct CellCount {
    std::int64_t variant_id = 0, run_task_id = 0, samples = 0, cost_tokens = 0;
  };
  virtual Result<std::vector<CellCount>> CountSamples(std::int64_t run) = 0;
  /// Samples that have a response or are poisoned, with the newest score (null: none), in any
  /// order; of a sample id, variant_id, run_task_id and cost_tokens only.
  virtual Status ForEachDone(
      std::int64_t run, const std::function<Status(const SampleRow&, const ScoreRow*)>& each) = 0;
  /// What the run's workers used, ordered by variant and worker.
  virtual Result<std::vector<MemoryRow>> Memory(std::int64_t run) = 0;
  /// Samples of the run that killed three workers.
  virtual Result<std::vector<std::int64_t>> PoisonedSamples(std::int64_t run) = 0;
  virtual Result<std::vector<WorkerRow>> Workers(std::int64_t run) = 0;
  /// In the order in which they were recorded.
  virtual Result<std::vector<FailureRow>> Failures(std::int64_t run) = 0;
  /// Requests that were answered twice and differently: each is a broken determinism promise.
  virtual Result<std::int64_t> Divergences() = 0;
  /// SHA-256 of the run's samples without anything that may differ between executions.
  virtual Result<std::string> ResultsDigest(std::int64_t run) = 0;
  /// SHA-256 of the logical content of the whole database.
  virtual Result<std::string> DatabaseDigest() = 0;

  /// Keeps one result of `h1bench bench` (JSON).
  virtual Status RecordBench(std::int64_t unix_ms, const std::string& result_json) = 0;
  /// Kept results, oldest first.
  virtual Result<std::vector<std::string>> BenchResults() = 0;
  /// Mean of the tokens that a model's answers to a task had, over all runs, by model digest, task
  /// and limit of new tokens.
  using AnswerLengths = std::map<std::tuple<std::string, std::string, std::int64_t>, double>;
  virtual Result<AnswerLengths> AnswerTokens() = 0;
};

}  // namespace h1bench

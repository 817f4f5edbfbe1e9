#pragma once

#include "harness/store/sqlite.h"
#include "harness/store/store.h"

namespace h1bench {

/// Store on SQLite. planning.cc, work.cc, scores.cc and read.cc hold its methods by subject.
class SqliteStore final : public Store {
 public:
  explicit SqliteStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  Result<std::int64_t> CreateRun(
      RunRow run, std::vector<VariantRow>& variants, std::vector<RunTaskRow>& tasks,
      const std::function<Status(const std::function<Status(SampleRow)>& add)>& samples) override;
  Result<RunRow> GetRun(std::int64_t run) override;
  Result<std::vector<RunRow>> ListRuns() override;
  Result<std::int64_t> LastUnfinishedRun() override;
  Status FinishRun(std::int64_t run, const std::string& state, double wall_seconds,
                   std::int64_t unix_ms) override;
  Result<std::vector<VariantRow>> Variants(std::int64_t run) override;
  Result<std::vector<RunTaskRow>> Tasks(std::int64_t run) override;

  Result<std::vector<SampleRow>> PendingSamples(std::int64_t run) override;
  Result<std::string> Prompt(const std::string& sha256) override;
  Result<SampleRow> GetSample(std::int64_t sample) override;
  Status RecordWorker(std::int64_t run, const std::string& worker, const std::string& incarnation,
                      const std::string& environment_json) override;
  Result<LeaseGrant> GrantLease(std::int64_t run, const std::string& worker,
                                const std::string& incarnation,
                                const std::vector<std::int64_t>& sample_ids) override;
  Status SubmitResponses(std::int64_t lease, std::int64_t attempt, const std::string& incarnation,
                         const std::vector<std::pair<std::int64_t, ResponseRow>>& responses,
                         bool last) override;
  Result<std::vector<std::int64_t>> RevokeLease(std::int64_t lease, bool lost) override;
  Status RevokeAllLeases(std::int64_t run) override;
  Status RecordMemory(std::int64_t run, std::int64_t variant, const std::string& worker,
                      const std::string& memory_json) override;
  Result<ProbeRow> RecordProbe(std::int64_t variant, const std::string& identity,
                               const ProbeRow& probe) override;
  Status RecordFailure(std::int64_t run, const FailureRow& failure) override;

  Status ForEachUnscored(
      std::int64_t run, std::int64_t version,
      const std::function<Status(const SampleRow&, const ResponseRow*)>& each) override;
  Status InsertScores(const std::vector<ScoreRow>& scores) override;

  Status ForEachSampleAt(std::int64_t run, std::int64_t version, const EachSample& each) override;
  Result<std::vector<CellCount>> CountSamples(std::int64_t run) override;
  Status ForEachDone(std::int64_t run,
                     const std::function<Status(const SampleRow&, const ScoreRow*)>& each) override;
  Result<std::vector<MemoryRow>> Memory(std::int64_t run) override;
  Result<std::vector<std::int64_t>> PoisonedSamples(std::int64_t run) override;
  Result<std::vector<WorkerRow>> Workers(std::int64_t run) override;
  Result<std::vector<FailureRow>> Failures(std::int64_t run) override;
  Result<std::int64_t> Divergences() override;
  Result<std::string> ResultsDigest(std::int64_t run) override;
  Result<std::string> DatabaseDigest() override;

  Status RecordBench(std::int64_t unix_ms, const std::string& result_json) override;
  Result<std::vector<std::string>> BenchResults() override;
  Result<AnswerLengths> AnswerTokens() override;

 private:
  Status InsertResponse(std::int64_t lease, std::int64_t sample, const ResponseRow& response);

  std::unique_ptr<Database> database_;
};

/// Columns of samples joined with prompts, in SampleFrom's order; the query names them `s` and `p`.
inline constexpr const char* kSampleColumns =
    "s.id, s.variant_id, s.run_task_id, s.subset, s.document_id, s.gold, s.doc_index, s.repeat, "
    "s.request_key, p.text, "
    "s.prompt_sha256, s.request_json, s.cost_tokens, s.losses, s.attempts";
inline constexpr int kSampleColumnCount = 15;
SampleRow SampleFrom(const Statement& statement, int first);

/// Columns of responses (`r`), in ResponseFrom's order.
inline constexpr const char* kResponseColumns =
    "r.key, r.text, r.loglikelihoods, r.is_greedy, r.prompt_tokens, r.generated_tokens, "
    "r.truncated_tokens, "
    "r.reused_tokens, r.first_ids, r.last_ids, r.finish, r.error, r.queue_seconds, "
    "r.prefill_seconds, r.decode_seconds, "
    "r.worker, r.inter_token_us";
inline constexpr int kResponseColumnCount = 17;
Result<ResponseRow> ResponseFrom(const Statement& statement, int first);

/// JSON texts of the columns that hold lists. Doubles are written so that they read back bit-equal.
std::string EncodeDoubles(const std::vector<double>& values);
std::string EncodeIds(const std::vector<std::int32_t>& ids);
std::string EncodeFlags(const std::vector<bool>& flags);

}  // namespace h1bench

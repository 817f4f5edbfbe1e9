#include "base/json.h"
#include "harness/store/sqlite_store.h"

namespace h1bench {

Status SqliteStore::ForEachUnscored(
    std::int64_t run, std::int64_t version,
    const std::function<Status(const SampleRow&, const ResponseRow*)>& each) {
  H1_ASSIGN_OR_RETURN(
      Statement query,
      database_->Prepare(fmt::format(
          "SELECT {}, {} FROM samples s JOIN prompts p ON p.sha256 = s.prompt_sha256 LEFT JOIN "
          "responses r ON r.key = "
          "s.request_key WHERE s.run_id = ? AND (r.key IS NOT NULL OR s.poisoned = 1) AND NOT "
          "EXISTS "
          "(SELECT 1 FROM scores c WHERE c.sample_id = s.id AND c.version = ?) ORDER BY s.id",
          kSampleColumns, kResponseColumns)));
  query.BindAll(run, version);
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return Status::Ok();
    const SampleRow sample = SampleFrom(query, 0);
    if (query.IsNull(kSampleColumnCount)) {
      H1_RETURN_IF_ERROR(each(sample, nullptr));
      continue;
    }
    H1_ASSIGN_OR_RETURN(const ResponseRow response, ResponseFrom(query, kSampleColumnCount));
    H1_RETURN_IF_ERROR(each(sample, &response));
  }
}

Status SqliteStore::InsertScores(const std::vector<ScoreRow>& scores) {
  return database_->InTransaction("scores", [&]() -> Status {
    H1_ASSIGN_OR_RETURN(Statement insert,
                        database_->Prepare("INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?) ON "
                                           "CONFLICT DO UPDATE SET extracted = excluded.extracted, "
                                           "verdict = excluded.verdict, detail = excluded.detail, "
                                           "scores_json = excluded.scores_json"));
    for (const ScoreRow& score : scores) {
      Json values{Json::Object{}};
      for (const auto& [metric, value] : score.scores) values.Set(metric, value);
      H1_RETURN_IF_ERROR(insert
                             .BindAll(score.sample_id, score.version, score.extracted,
                                      score.verdict, score.detail, WriteJson(values))
                             .Run());
    }
    return Status::Ok();
  });
}

Status SqliteStore::RecordBench(std::int64_t unix_ms, const std::string& result_json) {
  H1_ASSIGN_OR_RETURN(
      Statement insert,
      database_->Prepare("INSERT INTO bench_results (created_unix_ms, result_json) VALUES (?, ?)"));
  return insert.BindAll(unix_ms, result_json).Run();
}

Result<std::vector<std::string>> SqliteStore::BenchResults() {
  H1_ASSIGN_OR_RETURN(Statement query,
                      database_->Prepare("SELECT result_json FROM bench_results ORDER BY id"));
  std::vector<std::string> results;
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return results;
    results.push_back(query.Text(0));
  }
}

Result<Store::AnswerLengths> SqliteStore::AnswerTokens() {
  H1_ASSIGN_OR_RETURN(
      Statement query,
      database_->Prepare("SELECT v.model_digest, t.task, "
                         "coalesce(json_extract(t.describe_json, '$.max_new_tokens'), 0), "
                         "avg(r.generated_tokens) FROM responses r "
                         "JOIN samples s ON s.request_key = r.key JOIN variants v ON v.id = "
                         "s.variant_id JOIN run_tasks t ON t.id = s.run_task_id WHERE "
                         "r.generated_tokens > 0 GROUP BY 1, 2, 3"));
  AnswerLengths tokens;
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return tokens;
    tokens[{query.Text(0), query.Text(1), query.Int(2)}] = query.Double(3);
  }
}

}  // namespace h1bench

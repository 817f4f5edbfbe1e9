#include <array>
#include <bit>
#include <map>

#include "base/json.h"
#include "base/sha256.h"
#include "harness/store/sqlite_store.h"

namespace h1bench {
namespace {

Result<ScoreRow> ScoreFrom(const Statement& statement, int first, std::int64_t sample) {
  ScoreRow row;
  row.sample_id = sample;
  row.version = statement.Int(first);
  row.extracted = statement.Text(first + 1);
  row.verdict = statement.Text(first + 2);
  row.detail = statement.Text(first + 3);
  const std::string place = fmt::format("{}: scores_json of sample {}", statement.file(), sample);
  const Result<Json> scores = ParseJson(statement.Text(first + 4));
  if (!scores.ok()) return Corrupt("{}: {}", place, scores.status().message());
  if (!scores->is_object())
    return Corrupt("{}: expected an object, found {}", place, scores->TypeName());
  for (const auto& [metric, value] : scores->as_object()) {
    if (!value.is_number())
      return Corrupt("{}.{}: expected a number, found {}", place, metric, value.TypeName());
    row.scores.emplace_back(metric, value.as_double());
  }
  return row;
}

/// The canonical encoding of one sample in the results digest: length-prefixed fields in this
/// order, doubles as their 64 bits. Left out on purpose: ids of rows, request keys (they hold the
/// machine's identity), times, workers, attempts, reused tokens, and the free text of verdicts.
void FeedSample(Sha256& digest, const VariantRow& variant, const RunTaskRow& task,
                const SampleRow& sample, const ResponseRow* response, const ScoreRow* score) {
  for (const std::string& field :
       {variant.model_name, variant.model_digest, variant.precision,
        std::to_string(variant.max_length), task.name, task.task, task.data_digest, sample.subset,
        std::to_string(sample.index), std::to_string(sample.repeat), sample.prompt_sha256,
        sample.request_json}) {
    digest.UpdateField(field);
  }
  digest.UpdateField(response == nullptr ? "no response" : "response");
  if (response != nullptr) {
    digest.UpdateField(response->text);
    for (const double value : response->loglikelihoods)
      digest.UpdateField(std::to_string(std::bit_cast<std::uint64_t>(value)));
    for (const std::string& field :
         {EncodeFlags(response->is_greedy), std::to_string(response->prompt_tokens),
          std::to_string(response->generated_tokens), std::to_string(response->truncated_tokens),
          EncodeIds(response->first_ids), EncodeIds(response->last_ids), response->finish,
          response->error}) {
      digest.UpdateField(field);
    }
  }
  digest.UpdateField(score == nullptr ? "no score" : "score");
  if (score == nullptr) return;
  digest.UpdateField(score->extracted).UpdateField(score->verdict);
  for (const auto& [metric, value] : score->scores) {
    digest.UpdateField(metric).UpdateField(std::to_string(std::bit_cast<std::uint64_t>(value)));
  }
}

constexpr const char* kSampleOrder =
    " ORDER BY v.model_name, v.precision, v.max_length, v.model_digest, t.name, s.subset, "
    "s.doc_index, s.repeat";

}  // namespace

Status SqliteStore::ForEachSampleAt(std::int64_t run, std::int64_t version,
                                    const EachSample& each) {
  H1_ASSIGN_OR_RETURN(const std::vector<VariantRow> variant_rows, Variants(run));
  H1_ASSIGN_OR_RETURN(const std::vector<RunTaskRow> task_rows, Tasks(run));
  std::map<std::int64_t, const VariantRow*> variants;
  std::map<std::int64_t, const RunTaskRow*> tasks;
  for (const VariantRow& row : variant_rows) variants[row.id] = &row;
  for (const RunTaskRow& row : task_rows) tasks[row.id] = &row;
  H1_ASSIGN_OR_RETURN(
      Statement query,
      database_->Prepare(fmt::format(
          "SELECT {}, {}, c.version, c.extracted, c.verdict, c.detail, c.scores_json FROM samples "
          "s "
          "JOIN prompts p ON p.sha256 = s.prompt_sha256 JOIN variants v ON v.id = s.variant_id "
          "JOIN run_tasks t ON t.id = s.run_task_id LEFT JOIN responses r ON r.key = s.request_key "
          "LEFT JOIN scores c ON c.sample_id = s.id AND c.version = (SELECT max(version) FROM "
          "scores WHERE sample_id = s.id AND version <= ?) "
          "WHERE s.run_id = ?{}",
          kSampleColumns, kResponseColumns, kSampleOrder)));
  query.BindAll(version, run);
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return Status::Ok();
    const SampleRow sample = SampleFrom(query, 0);
    const bool answered = !query.IsNull(kSampleColumnCount);
    ResponseRow response;
    if (answered) {
      H1_ASSIGN_OR_RETURN(response, ResponseFrom(query, kSampleColumnCount));
    }
    constexpr int kScore = kSampleColumnCount + kResponseColumnCount;
    const bool scored = !query.IsNull(kScore);
    ScoreRow score;
    if (scored) {
      H1_ASSIGN_OR_RETURN(score, ScoreFrom(query, kScore, sample.id));
    }
    const auto variant = variants.find(sample.variant_id);
    const auto task = tasks.find(sample.run_task_id);
    if (variant == variants.end() || task == tasks.end())
      return Corrupt("{}: sample {} has no variant or task in its run", database_->file(),
                     sample.id);
    H1_RETURN_IF_ERROR(each(*variant->second, *task->second, sample, answered ? &response : nullptr,
                            scored ? &score : nullptr));
  }
}

Result<std::vector<Store::CellCount>> SqliteStore::CountSamples(std::int64_t run) {
  H1_ASSIGN_OR_RETURN(Statement query,
                      database_->Prepare("SELECT variant_id, run_task_id, count(*), "
                                         "sum(cost_tokens) FROM samples WHERE run_id = ? GROUP "
                                         "BY 1, 2"));
  query.Bind(1, run);
  std::vector<CellCount> cells;
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return cells;
    cells.push_back({query.Int(0), query.Int(1), query.Int(2), query.Int(3)});
  }
}

Status SqliteStore::ForEachDone(
    std::int64_t run, const std::function<Status(const SampleRow&, const ScoreRow*)>& each) {
  H1_ASSIGN_OR_RETURN(
      Statement query,
      database_->Prepare(
          "SELECT s.id, s.variant_id, s.run_task_id, s.cost_tokens, c.version, c.extracted, "
          "c.verdict, c.detail, c.scores_json FROM samples s LEFT JOIN scores c ON c.sample_id = "
          "s.id AND c.version = (SELECT max(version) FROM scores WHERE sample_id = s.id) WHERE "
          "s.run_id = ? AND (s.poisoned = 1 OR EXISTS (SELECT 1 FROM responses r WHERE r.key = "
          "s.request_key))"));
  query.Bind(1, run);
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return Status::Ok();
    SampleRow sample;
    sample.id = query.Int(0);
    sample.variant_id = query.Int(1);
    sample.run_task_id = query.Int(2);
    sample.cost_tokens = query.Int(3);
    if (query.IsNull(4)) {
      H1_RETURN_IF_ERROR(each(sample, nullptr));
      continue;
    }
    H1_ASSIGN_OR_RETURN(const ScoreRow score, ScoreFrom(query, 4, sample.id));
    H1_RETURN_IF_ERROR(each(sample, &score));
  }
}

Result<std::vector<MemoryRow>> SqliteStore::Memory(std::int64_t run) {
  H1_ASSIGN_OR_RETURN(Statement query,
                      database_->Prepare("SELECT variant_id, worker, memory_json FROM memory WHERE "
                                         "run_id = ? ORDER BY variant_id, worker"));
  query.Bind(1, run);
  std::vector<MemoryRow> rows;
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return rows;
    rows.push_back({query.Int(0), query.Text(1), query.Text(2)});
  }
}

Result<std::vector<std::int64_t>> SqliteStore::PoisonedSamples(std::int64_t run) {
  H1_ASSIGN_OR_RETURN(
      Statement query,
      database_->Prepare("SELECT id FROM samples WHERE run_id = ? AND poisoned = 1 ORDER BY id"));
  query.Bind(1, run);
  std::vector<std::int64_t> ids;
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return ids;
    ids.push_back(query.Int(0));
  }
}

Result<std::vector<WorkerRow>> SqliteStore::Workers(std::int64_t run) {
  H1_ASSIGN_OR_RETURN(
      Statement query,
      database_->Prepare(
          "SELECT worker, environment_json FROM workers WHERE run_id = ? ORDER BY worker"));
  query.Bind(1, run);
  std::vector<WorkerRow> rows;
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return rows;
    rows.push_back({query.Text(0), query.Text(1)});
  }
}

Result<std::vector<FailureRow>> SqliteStore::Failures(std::int64_t run) {
  H1_ASSIGN_OR_RETURN(
      Statement query,
      database_->Prepare("SELECT worker, reason FROM failures WHERE run_id = ? ORDER BY id"));
  query.Bind(1, run);
  std::vector<FailureRow> rows;
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return rows;
    rows.push_back({query.Text(0), query.Text(1)});
  }
}

Result<std::int64_t> SqliteStore::Divergences() {
  return database_->Scalar("SELECT count(*) FROM divergence");
}

Result<std::string> SqliteStore::ResultsDigest(std::int64_t run) {
  Sha256 digest;
  digest.UpdateField("h1bench results 1");
  H1_RETURN_IF_ERROR(ForEachSample(
      run, [&](const VariantRow& variant, const RunTaskRow& task, const SampleRow& sample,
               const ResponseRow* response, const ScoreRow* score) {
        FeedSample(digest, variant, task, sample, response, score);
        return Status::Ok();
      }));
  return digest.FinishHex();
}

Result<std::string> SqliteStore::DatabaseDigest() {
  Sha256 digest;
  digest.UpdateField("h1bench database 1");
  // Tables in a fixed order, rows by primary key: equal content gives equal digests whatever the
  // pages look like.
  struct Table {
    const char* name;
    const char* key;
  };
  constexpr std::array kTables = {
      Table{"runs", "id"},        Table{"variants", "id"},        Table{"run_variants", "1, 2"},
      Table{"run_tasks", "id"},   Table{"prompts", "sha256"},     Table{"samples", "id"},
      Table{"responses", "key"},  Table{"scores", "1, 2"},        Table{"workers", "1, 2"},
      Table{"leases", "id"},      Table{"lease_samples", "1, 2"}, Table{"divergence", "id"},
      Table{"memory", "1, 2, 3"}, Table{"bench_results", "id"},   Table{"probes", "1, 2"},
      Table{"failures", "id"}};
  for (const auto& [table, key] : kTables) {
    digest.UpdateField(table);
    H1_ASSIGN_OR_RETURN(Statement rows, database_->Prepare(fmt::format(
                                            "SELECT * FROM {} ORDER BY {}", table, key)));
    while (true) {
      H1_ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) break;
      for (int column = 0; column < rows.columns(); ++column) {
        digest.UpdateField(rows.Type(column) == SQLITE_FLOAT
                               ? std::to_string(std::bit_cast<std::uint64_t>(rows.Double(column)))
                               : rows.Text(column));
      }
    }
  }
  return digest.FinishHex();
}

}  // namespace h1bench

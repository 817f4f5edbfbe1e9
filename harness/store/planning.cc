#include "harness/store/network_file_system.h"
#include "harness/store/schema.h"
#include "harness/store/sqlite_store.h"

namespace h1bench {
namespace {

// A database left by a killed process is checked before it is trusted; big ones only structurally
// by SQLite itself.
constexpr std::int64_t kCheckPages = 65536;

Status QuickCheck(Database& database) {
  H1_ASSIGN_OR_RETURN(const std::int64_t pages, database.Scalar("PRAGMA page_count"));
  if (pages > kCheckPages) return Status::Ok();
  H1_ASSIGN_OR_RETURN(Statement check, database.Prepare("PRAGMA quick_check(1)"));
  H1_ASSIGN_OR_RETURN(const bool row, check.Step());
  if (row && check.Text(0) != "ok") {
    std::string what = check.Text(0);  // sometimes two lines, of which the first says nothing
    if (const std::size_t end = what.find('\n'); end != std::string::npos) what.erase(0, end + 1);
    return Corrupt(
        "{}: the database is damaged: {}. Copy it away and look at it with `sqlite3 FILE "
        ".recover`.",
        database.file(), what);
  }
  return Status::Ok();
}

constexpr const char* kVariantColumns =
    "v.id, v.model_name, v.model_path, v.model_digest, v.precision, v.max_length, v.parameters, "
    "v.weight_bytes, v.config_json";

VariantRow VariantFrom(const Statement& statement) {
  VariantRow row;
  row.id = statement.Int(0);
  row.model_name = statement.Text(1);
  row.model_path = statement.Text(2);
  row.model_digest = statement.Text(3);
  row.precision = statement.Text(4);
  row.max_length = statement.Int(5);
  row.parameters = statement.Int(6);
  row.weight_bytes = statement.Int(7);
  row.config_json = statement.Text(8);
  return row;
}

constexpr const char* kRunColumns =
    "id, name, suite_text, suite_path, options_json, version_json, environment_json, seed, "
    "created_unix_ms, "
    "finished_unix_ms, state, wall_seconds, description";

RunRow RunFrom(const Statement& statement) {
  RunRow row;
  row.id = statement.Int(0);
  row.name = statement.Text(1);
  row.suite_text = statement.Text(2);
  row.suite_path = statement.Text(3);
  row.options_json = statement.Text(4);
  row.version_json = statement.Text(5);
  row.environment_json = statement.Text(6);
  row.seed = statement.Int(7);
  row.created_unix_ms = statement.Int(8);
  row.finished_unix_ms = statement.Int(9);
  row.state = statement.Text(10);
  row.wall_seconds = statement.Double(11);
  row.description = statement.Text(12);
  return row;
}

Status InsertVariant(Database& database, std::int64_t run, std::int64_t ordinal,
                     VariantRow& variant) {
  // The path is where the bytes lie now: the digest says which model it is.
  H1_ASSIGN_OR_RETURN(
      Statement insert,
      database.Prepare("INSERT INTO variants (model_name, model_path, model_digest, precision, "
                       "max_length, parameters, weight_bytes, "
                       "config_json) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                       "model_path = excluded.model_path RETURNING id"));
  insert.BindAll(variant.model_name, variant.model_path, variant.model_digest, variant.precision,
                 variant.max_length, variant.parameters, variant.weight_bytes, variant.config_json);
  H1_ASSIGN_OR_RETURN(const bool row, insert.Step());
  if (!row) return Internal("INSERT INTO variants returned no row");
  variant.id = insert.Int(0);
  H1_ASSIGN_OR_RETURN(const bool more, insert.Step());
  (void)more;
  H1_ASSIGN_OR_RETURN(Statement link,
                      database.Prepare("INSERT INTO run_variants VALUES (?, ?, ?)"));
  return link.BindAll(run, variant.id, ordinal).Run();
}

Status InsertTask(Database& database, std::int64_t run, std::int64_t ordinal, RunTaskRow& task) {
  H1_ASSIGN_OR_RETURN(Statement insert,
                      database.Prepare("INSERT INTO run_tasks (run_id, ordinal, name, task, "
                                       "options_json, data_digest, describe_json) "
                                       "VALUES (?, ?, ?, ?, ?, ?, ?)"));
  H1_RETURN_IF_ERROR(insert
                         .BindAll(run, ordinal, task.name, task.task, task.options_json,
                                  task.data_digest, task.describe_json)
                         .Run());
  task.id = database.LastInsertId();
  return Status::Ok();
}

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(const std::filesystem::path& file, Mode mode) {
  std::error_code error;
  const auto type = std::filesystem::status(file, error).type();
  if (type == std::filesystem::file_type::directory)
    return InvalidArgument("{}: is a folder, expected a database file", file.string());
  // Opening a FIFO would wait for a writer, reading a device would never end.
  if (type != std::filesystem::file_type::regular && type != std::filesystem::file_type::not_found)
    return InvalidArgument("{}: is not a regular file, expected a database file", file.string());
  const bool read_only = mode == Mode::kReadOnly;
  if (read_only && !std::filesystem::exists(file, error)) {
    return NotFound("{}: no such database. `h1bench run SUITE.yaml --db FILE` makes one.",
                    file.string());
  }
  if (!read_only) H1_RETURN_IF_ERROR(RefuseNetworkFileSystem(file));
  if (!read_only && file.has_parent_path()) {
    std::filesystem::create_directories(file.parent_path(), error);
    if (error)
      return IoError("{}: cannot create the folder: {}", file.parent_path().string(),
                     error.message());
  }
  H1_ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open(file, read_only));
  if (read_only) {
    H1_RETURN_IF_ERROR(CheckSchema(*database));
  } else {
    H1_RETURN_IF_ERROR(Migrate(*database));
  }
  H1_RETURN_IF_ERROR(CheckTables(*database));
  H1_RETURN_IF_ERROR(QuickCheck(*database));
  return std::unique_ptr<Store>(std::make_unique<SqliteStore>(std::move(database)));
}

Result<std::int64_t> SqliteStore::CreateRun(
    RunRow run, std::vector<VariantRow>& variants, std::vector<RunTaskRow>& tasks,
    const std::function<Status(const std::function<Status(SampleRow)>& add)>& samples) {
  std::int64_t id = 0;
  H1_RETURN_IF_ERROR(database_->InTransaction("plan", [&]() -> Status {
    H1_ASSIGN_OR_RETURN(
        Statement insert,
        database_->Prepare(
            "INSERT INTO runs (name, description, suite_text, suite_path, options_json, "
            "version_json, environment_json, seed, "
            "created_unix_ms, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'running')"));
    H1_RETURN_IF_ERROR(insert
                           .BindAll(run.name, run.description, run.suite_text, run.suite_path,
                                    run.options_json, run.version_json, run.environment_json,
                                    run.seed, run.created_unix_ms)
                           .Run());
    id = database_->LastInsertId();
    std::int64_t ordinal = 0;
    for (VariantRow& variant : variants)
      H1_RETURN_IF_ERROR(InsertVariant(*database_, id, ordinal++, variant));
    ordinal = 0;
    for (RunTaskRow& task : tasks) H1_RETURN_IF_ERROR(InsertTask(*database_, id, ordinal++, task));
    H1_ASSIGN_OR_RETURN(
        Statement prompt,
        database_->Prepare("INSERT INTO prompts VALUES (?, ?) ON CONFLICT DO NOTHING"));
    H1_ASSIGN_OR_RETURN(
        Statement sample,
        database_->Prepare("INSERT INTO samples (run_id, variant_id, run_task_id, subset, "
                           "document_id, gold, doc_index, repeat, request_key, "
                           "prompt_sha256, request_json, cost_tokens) VALUES (?, ?, ?, ?, ?, ?, ?, "
                           "?, ?, ?, ?, ?)"));
    return samples([&](const SampleRow& row) -> Status {
      H1_RETURN_IF_ERROR(prompt.BindAll(row.prompt_sha256, row.prompt).Run());
      return sample
          .BindAll(id, row.variant_id, row.run_task_id, row.subset, row.document_id, row.gold,
                   row.index, row.repeat, row.request_key, row.prompt_sha256, row.request_json,
                   row.cost_tokens)
          .Run();
    });
  }));
  return id;
}

Result<RunRow> SqliteStore::GetRun(std::int64_t run) {
  H1_ASSIGN_OR_RETURN(
      Statement query,
      database_->Prepare(fmt::format(
          "SELECT {} FROM runs WHERE id = ?1 OR ?1 = 0 ORDER BY id DESC LIMIT 1", kRunColumns)));
  H1_ASSIGN_OR_RETURN(const bool row, query.Bind(1, run).Step());
  if (!row && run == 0)
    return NotFound("{}: holds no run yet. `h1bench run SUITE.yaml --db FILE` makes one.",
                    database_->file());
  if (!row)
    return NotFound("{}: there is no run {}. `h1bench watch --db` lists the runs.",
                    database_->file(), run);
  return RunFrom(query);
}

Result<std::vector<RunRow>> SqliteStore::ListRuns() {
  H1_ASSIGN_OR_RETURN(Statement query, database_->Prepare(fmt::format(
                                           "SELECT {} FROM runs ORDER BY id", kRunColumns)));
  std::vector<RunRow> rows;
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return rows;
    rows.push_back(RunFrom(query));
  }
}

Result<std::int64_t> SqliteStore::LastUnfinishedRun() {
  H1_ASSIGN_OR_RETURN(
      const std::int64_t run,
      database_->Scalar("SELECT coalesce(max(id), 0) FROM runs WHERE state = 'running'"));
  if (run == 0) return NotFound("{}: no unfinished run. Nothing to resume.", database_->file());
  return run;
}

Status SqliteStore::FinishRun(std::int64_t run, const std::string& state, double wall_seconds,
                              std::int64_t unix_ms) {
  return database_->InTransaction("finish", [&]() -> Status {
    H1_ASSIGN_OR_RETURN(
        Statement update,
        database_->Prepare("UPDATE runs SET state = ?, wall_seconds = wall_seconds + "
                           "?, finished_unix_ms = ? WHERE id = ?"));
    return update.BindAll(state, wall_seconds, unix_ms, run).Run();
  });
}

Result<std::vector<VariantRow>> SqliteStore::Variants(std::int64_t run) {
  H1_ASSIGN_OR_RETURN(
      Statement query,
      database_->Prepare(fmt::format("SELECT {} FROM run_variants rv JOIN variants v ON v.id = "
                                     "rv.variant_id WHERE rv.run_id = ? ORDER BY rv.ordinal",
                                     kVariantColumns)));
  query.Bind(1, run);
  std::vector<VariantRow> rows;
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return rows;
    rows.push_back(VariantFrom(query));
  }
}

Result<std::vector<RunTaskRow>> SqliteStore::Tasks(std::int64_t run) {
  H1_ASSIGN_OR_RETURN(
      Statement query,
      database_->Prepare("SELECT id, name, task, options_json, data_digest, describe_json FROM "
                         "run_tasks WHERE run_id = ? ORDER BY ordinal"));
  query.Bind(1, run);
  std::vector<RunTaskRow> rows;
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return rows;
    rows.push_back(
        {query.Int(0), query.Text(1), query.Text(2), query.Text(3), query.Text(4), query.Text(5)});
  }
}

}  // namespace h1bench

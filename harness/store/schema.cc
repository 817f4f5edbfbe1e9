#include "harness/store/schema.h"

#include <array>
#include <map>
#include <memory>
#include <string>

#include "base/json.h"

namespace h1bench {
namespace {

// Version 1. Every column says what it holds. Times called *_unix_ms are wall clock and for people
// only.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,                     -- the suite's name
  description TEXT NOT NULL,              -- the suite's own words about itself
  suite_text TEXT NOT NULL,               -- the suite file's bytes
  suite_path TEXT NOT NULL,
  options_json TEXT NOT NULL,             -- command line options of the first execution
  version_json TEXT NOT NULL,             -- h1bench --version --json
  environment_json TEXT NOT NULL,         -- machine of the coordinator
  seed INTEGER NOT NULL,
  created_unix_ms INTEGER NOT NULL,
  finished_unix_ms INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL CHECK (state IN ('running', 'finished', 'cancelled')),
  wall_seconds REAL NOT NULL DEFAULT 0    -- over all executions
) STRICT;
CREATE TABLE variants (
  id INTEGER PRIMARY KEY,
  model_name TEXT NOT NULL,
  model_path TEXT NOT NULL,
  model_digest TEXT NOT NULL,             -- SHA-256 of config, tokenizer and tensors
  precision TEXT NOT NULL,
  max_length INTEGER NOT NULL,            -- tokens of context used
  parameters INTEGER NOT NULL,
  weight_bytes INTEGER NOT NULL,          -- at this precision
  config_json TEXT NOT NULL,
  UNIQUE (model_digest, precision, max_length, model_name)
) STRICT;
CREATE TABLE run_variants (
  run_id INTEGER NOT NULL REFERENCES runs(id),
  variant_id INTEGER NOT NULL REFERENCES variants(id),
  ordinal INTEGER NOT NULL,               -- place in the suite
  PRIMARY KEY (run_id, variant_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE run_tasks (
  id INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL REFERENCES runs(id),
  ordinal INTEGER NOT NULL,
  name TEXT NOT NULL,                     -- unique in the suite
  task TEXT NOT NULL,
  options_json TEXT NOT NULL,
  data_digest TEXT NOT NULL,              -- SHA-256 over the data files read
  describe_json TEXT NOT NULL,            -- metrics, groups, chance, protocol
  UNIQUE (run_id, name)
) STRICT;
CREATE TABLE prompts (
  sha256 TEXT PRIMARY KEY,
  text TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE samples (
  id INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL REFERENCES runs(id),
  variant_id INTEGER NOT NULL REFERENCES variants(id),
  run_task_id INTEGER NOT NULL REFERENCES run_tasks(id),
  subset TEXT NOT NULL,
  document_id TEXT NOT NULL,
  gold TEXT NOT NULL,
  doc_index INTEGER NOT NULL,             -- row of the upstream file, from 0
  repeat INTEGER NOT NULL,
  request_key TEXT NOT NULL,              -- content address of the request
  prompt_sha256 TEXT NOT NULL REFERENCES prompts(sha256),
  request_json TEXT NOT NULL,             -- continuations, stops, limits
  cost_tokens INTEGER NOT NULL,           -- estimate
  attempts INTEGER NOT NULL DEFAULT 0,    -- leases that held it
  losses INTEGER NOT NULL DEFAULT 0,      -- workers lost while they held it
  poisoned INTEGER NOT NULL DEFAULT 0,    -- 1: three losses, never leased again
  UNIQUE (run_id, variant_id, run_task_id, subset, doc_index, repeat)
) STRICT;
CREATE INDEX samples_by_key ON samples(request_key);
CREATE TABLE responses (
  key TEXT PRIMARY KEY,                   -- samples.request_key
  text TEXT NOT NULL,
  loglikelihoods TEXT NOT NULL,           -- JSON numbers that read back bit-equal
  is_greedy TEXT NOT NULL,                -- one 0 or 1 a continuation
  prompt_tokens INTEGER NOT NULL,
  generated_tokens INTEGER NOT NULL,
  truncated_tokens INTEGER NOT NULL,      -- cut from the left of the prompt
  reused_tokens INTEGER NOT NULL,         -- of a shared prefix, not computed again
  first_ids TEXT NOT NULL,                -- JSON, at most 8 token ids
  last_ids TEXT NOT NULL,
  finish TEXT NOT NULL,                   -- stop, eos, length, or empty for log-likelihoods
  error TEXT NOT NULL,                    -- why the engine could not answer, or empty
  queue_seconds REAL NOT NULL,
  prefill_seconds REAL NOT NULL,
  decode_seconds REAL NOT NULL,
  worker TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE scores (
  sample_id INTEGER NOT NULL REFERENCES samples(id),
  version INTEGER NOT NULL,               -- of the scorer
  extracted TEXT NOT NULL,
  verdict TEXT NOT NULL,
  detail TEXT NOT NULL,
  scores_json TEXT NOT NULL,              -- {metric: number}
  PRIMARY KEY (sample_id, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE workers (
  run_id INTEGER NOT NULL REFERENCES runs(id),
  worker TEXT NOT NULL,
  incarnation TEXT NOT NULL,              -- the only one whose results are taken
  environment_json TEXT NOT NULL,
  PRIMARY KEY (run_id, worker)
) STRICT, WITHOUT ROWID;
CREATE TABLE leases (
  id INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL REFERENCES runs(id),
  worker TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'closed', 'revoked', 'lost'))
) STRICT;
CREATE TABLE lease_samples (
  lease_id INTEGER NOT NULL REFERENCES leases(id),
  sample_id INTEGER NOT NULL REFERENCES samples(id),
  PRIMARY KEY (lease_id, sample_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE divergence (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL,                      -- two different answers to one request: a broken promise
  sample_id INTEGER NOT NULL,
  worker TEXT NOT NULL,
  payload TEXT NOT NULL                   -- the second answer
) STRICT;
CREATE TABLE memory (
  run_id INTEGER NOT NULL REFERENCES runs(id),
  variant_id INTEGER NOT NULL REFERENCES variants(id),
  worker TEXT NOT NULL,
  memory_json TEXT NOT NULL,
  PRIMARY KEY (run_id, variant_id, worker)
) STRICT, WITHOUT ROWID;
CREATE TABLE bench_results (
  id INTEGER PRIMARY KEY,
  created_unix_ms INTEGER NOT NULL,
  result_json TEXT NOT NULL
) STRICT;
)sql";

// Version 2: the engine's self-test.
constexpr const char* kVersion2 = R"sql(
CREATE TABLE probes (
  variant_id INTEGER NOT NULL REFERENCES variants(id),
  identity TEXT NOT NULL,                 -- engine build, backend and architecture
  digest TEXT NOT NULL,                   -- of the bits that its engine answers to the probes
  worker TEXT NOT NULL,                   -- who gave it first
  PRIMARY KEY (variant_id, identity)
) STRICT, WITHOUT ROWID;
CREATE TABLE failures (
  id INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL REFERENCES runs(id),
  worker TEXT NOT NULL,
  reason TEXT NOT NULL                    -- why it was refused, or left
) STRICT;
)sql";

// Version 3: what a reader of a stream waits for.
constexpr const char* kVersion3 = R"sql(
-- JSON, microseconds from each generated token to the next; empty: not measured
ALTER TABLE responses ADD COLUMN inter_token_us TEXT NOT NULL DEFAULT '[]';
)sql";

constexpr std::array kMigrations = {kVersion1, kVersion2, kVersion3};

Status CheckHeader(Database& database, std::int64_t& version) {
  H1_ASSIGN_OR_RETURN(const std::int64_t application, database.Scalar("PRAGMA application_id"));
  H1_ASSIGN_OR_RETURN(version, database.Scalar("PRAGMA user_version"));
  H1_ASSIGN_OR_RETURN(const std::int64_t tables,
                      database.Scalar("SELECT count(*) FROM sqlite_master"));
  if (application != kApplicationId && (application != 0 || version != 0 || tables != 0)) {
    return InvalidArgument(
        "{}: this SQLite file is not a h1bench database (application_id {:#x}, expected {:#x}). "
        "Give another --db.",
        database.file(), application, kApplicationId);
  }
  if (version < 0) {
    return Corrupt(
        "{}: schema version {}, expected 0 to {}. Restore the file or give another --db.",
        database.file(), version, SchemaVersion());
  }
  if (version > SchemaVersion()) {
    return FailedPrecondition(
        "{}: written by a newer h1bench (schema {}, this program knows {}). Update h1bench.",
        database.file(), version, SchemaVersion());
  }
  return Status::Ok();
}

using Objects = std::map<std::string, std::string>;  // "table runs" -> its SQL

Result<Objects> ReadObjects(Database& database) {
  H1_ASSIGN_OR_RETURN(
      Statement query,
      database.Prepare("SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL"));
  Objects objects;
  while (true) {
    H1_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return objects;
    objects[query.Text(0)] = query.Text(1);
  }
}

}  // namespace

std::int64_t SchemaVersion() { return static_cast<std::int64_t>(kMigrations.size()); }

Status Migrate(Database& database) {
  std::int64_t version = 0;
  H1_RETURN_IF_ERROR(CheckHeader(database, version));
  for (std::int64_t next = version; next < SchemaVersion(); ++next) {
    H1_RETURN_IF_ERROR(database.InTransaction("schema", [&]() -> Status {
      H1_RETURN_IF_ERROR(database.Execute(kMigrations[static_cast<std::size_t>(next)]));
      return database.Execute(fmt::format("PRAGMA application_id={}; PRAGMA user_version={};",
                                          kApplicationId, next + 1));
    }));
  }
  return Status::Ok();
}

Status CheckSchema(Database& database) {
  std::int64_t version = 0;
  H1_RETURN_IF_ERROR(CheckHeader(database, version));
  if (version == 0)
    return NotFound("{}: the database is empty. `h1bench run SUITE.yaml --db FILE` fills one.",
                    database.file());
  if (version < SchemaVersion()) {
    return FailedPrecondition(
        "{}: written by an older h1bench (schema {} of {}). `h1bench resume --db {}` brings it up "
        "to date.",
        database.file(), version, SchemaVersion(), database.file());
  }
  return Status::Ok();
}

Status CheckTables(Database& database) {
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Database> fresh, Database::Open(":memory:", false));
  for (const char* migration : kMigrations) H1_RETURN_IF_ERROR(fresh->Execute(migration));
  H1_ASSIGN_OR_RETURN(const Objects expected, ReadObjects(*fresh));
  H1_ASSIGN_OR_RETURN(const Objects found, ReadObjects(database));
  const auto refuse = [&](const std::string& object, const char* how) {
    return Corrupt(
        "{}: {} {}. This is not a database as h1bench makes it; restore the file or give another "
        "--db.",
        database.file(), QuoteJson(object.substr(0, 100)), how);
  };
  for (const auto& [object, sql] : expected) {
    const auto same = found.find(object);
    if (same == found.end()) return refuse(object, "is missing");
    if (same->second != sql) return refuse(object, "was changed");
  }
  for (const auto& [object, sql] : found)
    if (expected.count(object) == 0) return refuse(object, "is not one of ours");
  return Status::Ok();
}

}  // namespace h1bench

#include "harness/store/sqlite.h"

#include <new>
#include <utility>

#include "base/planted.h"
#include "harness/store/failpoint.h"
#include "harness/store/vfs.h"

namespace h1bench {
namespace {

StatusCode CodeOf(int sqlite_code) {
  if (sqlite_code == SQLITE_IOERR_DATA) return StatusCode::kCorrupt;
  switch (sqlite_code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return StatusCode::kCorrupt;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return StatusCode::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return StatusCode::kUnavailable;
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      return StatusCode::kInternal;
    default:
      return StatusCode::kIoError;
  }
}

Status SqliteError(sqlite3* handle, const std::string& file, const std::string& what) {
  const int code = sqlite3_extended_errcode(handle);
  std::string hint;
  if (code == SQLITE_IOERR_DATA) hint = ", a page's checksum is wrong";
  if (CodeOf(code) == StatusCode::kCorrupt)
    hint += ". The file is damaged; copy it away and look at it with `sqlite3 FILE .recover`";
  if ((code & 0xff) == SQLITE_FULL)
    hint += ". Free some space and run `h1bench resume`; nothing acknowledged is lost";
  return {CodeOf(code),
          fmt::format("{}: {}: {} (SQLite {}){}", file, what, sqlite3_errmsg(handle), code, hint)};
}

}  // namespace

Statement::~Statement() {
  if (statement_ != nullptr) database_->GiveBack(statement_);
}

const std::string& Statement::file() const { return database_->file_; }

Statement& Statement::Bind(int place, std::int64_t value) {
  sqlite3_bind_int64(statement_, place, value);
  return *this;
}
Statement& Statement::Bind(int place, double value) {
  sqlite3_bind_double(statement_, place, value);
  return *this;
}
Statement& Statement::Bind(int place, std::string_view value) {
  // A null pointer would bind NULL, which STRICT NOT NULL columns refuse.
  sqlite3_bind_text64(statement_, place, value.data() == nullptr ? "" : value.data(), value.size(),
                      SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

Result<bool> Statement::Step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  Status failed = SqliteError(sqlite3_db_handle(statement_), file(), "query failed");
  sqlite3_reset(statement_);
  return failed;
}

Status Statement::Run() {
  H1_ASSIGN_OR_RETURN(const bool row, Step());
  (void)row;
  Reset();
  return Status::Ok();
}

void Statement::Reset() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

std::string Statement::Text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  return bytes == nullptr
             ? std::string()
             : std::string(bytes,
                           static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
}

Result<std::unique_ptr<Database>> Database::Open(const std::filesystem::path& file,
                                                 bool read_only) {
  if (RegisterVfs() != SQLITE_OK) return Internal("SQLite has no file system to work on");
  // Owned before it is there: where memory ends, nothing is left open.
  std::unique_ptr<Database> database(new Database(nullptr, file.string()));
  sqlite3*& handle = database->handle_;
  const int flags =
      (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) |
      SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(file.c_str(), &handle, flags, kVfsName);
  if (code != SQLITE_OK) return database->Error("cannot open the database");
  int reserved = kPageChecksumBytes;  // takes effect where the file is new
  if (!read_only) sqlite3_file_control(handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, 5000);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  H1_RETURN_IF_ERROR(
      database->Execute("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA "
                        "foreign_keys=ON; PRAGMA mmap_size=0;"));
  // 64 MiB of pages: every page that comes from the file again has its checksum computed again.
  H1_RETURN_IF_ERROR(database->Execute("PRAGMA cache_size=-65536;"));
  if (!read_only)
    H1_RETURN_IF_ERROR(
        database->Execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                          "PRAGMA wal_autocheckpoint=4000;"));
  return database;
}

Database::~Database() {
  for (const auto& [sql, statement] : idle_) sqlite3_finalize(statement);
  sqlite3_close_v2(handle_);
}

void Database::GiveBack(sqlite3_stmt* statement) {
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  bool kept = false;
  try {
    kept = idle_.emplace(sqlite3_sql(statement), statement).second;
  } catch (const std::bad_alloc&) {  // then it is compiled again the next time
  }
  if (!kept) sqlite3_finalize(statement);
}

Status Database::Error(const std::string& what) const { return SqliteError(handle_, file_, what); }

Result<Statement> Database::Prepare(std::string_view sql) {
  if (const auto found = idle_.find(sql); found != idle_.end()) {
    sqlite3_stmt* kept = found->second;
    idle_.erase(found);
    return Statement(kept, this);
  }
  Statement prepared(nullptr, this);  // owns the statement from the start
  if (sqlite3_prepare_v2(handle_, sql.data(), static_cast<int>(sql.size()), &prepared.statement_,
                         nullptr) != SQLITE_OK) {
    return Error("cannot prepare a query");
  }
  return prepared;
}

Status Database::Execute(const std::string& sql) {
  return sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK
             ? Status::Ok()
             : Error("query failed");
}

Result<std::int64_t> Database::Scalar(const std::string& sql) {
  H1_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  H1_ASSIGN_OR_RETURN(const bool row, statement.Step());
  return row ? statement.Int(0) : 0;
}

Status Database::InTransaction(std::string_view name, const std::function<Status()>& body) {
  if (Planted(Bug::kAckBeforeCommit) && sqlite3_get_autocommit(handle_) == 0)
    H1_RETURN_IF_ERROR(Execute("COMMIT"));
  H1_RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  Status status = body();
  if (status.ok()) status = Failpoint(name, ".before_commit");
  if (Planted(Bug::kAckBeforeCommit) && name == "submit") return status;
  if (status.ok()) status = Execute("COMMIT");
  if (!status.ok()) {
    const Status ignored = Execute("ROLLBACK");  // the first failure is the one to tell
    (void)ignored;
    return status;
  }
  return Failpoint(name, ".after_commit");
}

}  // namespace h1bench

#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/status.h"

/// A thin RAII layer over SQLite. Errors name the database file and SQLite's own message.
namespace h1bench {

class Database;

/// A prepared statement. Bind (1-based), Step until it is false, read columns (0-based). Reset for
/// the next use. When it ends, the compiled query goes back to its database for the next Prepare of
/// the same text.
class Statement {
 public:
  Statement(Statement&& other) noexcept
      : statement_(std::exchange(other.statement_, nullptr)), database_(other.database_) {}
  Statement& operator=(Statement&&) = delete;
  Statement(const Statement&) = delete;
  ~Statement();

  Statement& Bind(int place, std::int64_t value);
  Statement& Bind(int place, double value);
  Statement& Bind(int place, std::string_view value);
  /// Binds arguments 1, 2, ... in order.
  template <typename... Args>
  Statement& BindAll(const Args&... args) {
    int place = 0;
    (Bind(++place, args), ...);
    return *this;
  }
  /// True when there is a row to read.
  Result<bool> Step();
  /// Runs a statement without rows and resets it.
  Status Run();
  void Reset();

  std::int64_t Int(int column) const { return sqlite3_column_int64(statement_, column); }
  double Double(int column) const { return sqlite3_column_double(statement_, column); }
  std::string Text(int column) const;
  bool IsNull(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  int Type(int column) const { return sqlite3_column_type(statement_, column); }
  const std::string& file() const;
  int columns() const { return sqlite3_column_count(statement_); }

 private:
  friend class Database;
  Statement(sqlite3_stmt* statement, Database* database)
      : statement_(statement), database_(database) {}
  sqlite3_stmt* statement_;
  Database* database_;
};

/// One connection with the settings that the store depends on pinned and asserted.
class Database {
 public:
  static Result<std::unique_ptr<Database>> Open(const std::filesystem::path& file, bool read_only);
  ~Database();
  Database(const Database&) = delete;

  /// Statements must end before the database does.
  Result<Statement> Prepare(std::string_view sql);
  Status Execute(const std::string& sql);
  /// A single integer, for example a PRAGMA's value.
  Result<std::int64_t> Scalar(const std::string& sql);
  std::int64_t LastInsertId() const { return sqlite3_last_insert_rowid(handle_); }
  std::int64_t Changes() const { return sqlite3_changes64(handle_); }
  const std::string& file() const { return file_; }
  /// Status of the last failed call with `what` in front.
  Status Error(const std::string& what) const;

  /// BEGIN IMMEDIATE, `body`, COMMIT; ROLLBACK when the body or the commit fails. `name`: of its
  /// failpoints NAME.before_commit and NAME.after_commit.
  Status InTransaction(std::string_view name, const std::function<Status()>& body);

 private:
  friend class Statement;
  Database(sqlite3* handle, std::string file) : handle_(handle), file_(std::move(file)) {}
  /// Keeps a compiled query for the next Prepare of its text: compiling one costs more than most
  /// queries do.
  void GiveBack(sqlite3_stmt* statement);

  sqlite3* handle_;
  std::string file_;
  std::unordered_map<std::string_view, sqlite3_stmt*>
      idle_;  // by sqlite3_sql(), at most one a text
};

}  // namespace h1bench

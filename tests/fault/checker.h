#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "tests/cli/run_program.h"
#include "tests/paths.h"

/// Looks at a database from outside: SQL, `h1bench samples` and `h1bench report`. It must not
/// include anything of harness/: a mistake there could hide itself.
namespace h1bench::fault {

/// First column of every row, as text. A query that fails gives one row that says so.
inline std::vector<std::string> Query(const std::filesystem::path& db, const std::string& sql) {
  sqlite3* handle = nullptr;
  sqlite3_stmt* statement = nullptr;
  std::vector<std::string> rows;
  // immutable=0: a living coordinator's log is read too.
  int code = sqlite3_open_v2(db.c_str(), &handle, SQLITE_OPEN_READONLY, nullptr);
  if (code == SQLITE_OK) {
    sqlite3_busy_timeout(handle, 2000);
    code = sqlite3_prepare_v2(handle, sql.c_str(), -1, &statement, nullptr);
  }
  while (code == SQLITE_OK || code == SQLITE_ROW) {
    code = sqlite3_step(statement);
    if (code != SQLITE_ROW) break;
    const unsigned char* text = sqlite3_column_text(statement, 0);
    rows.emplace_back(text == nullptr ? "" : reinterpret_cast<const char*>(text));
  }
  if (code != SQLITE_DONE) rows = {std::string("SQL failed: ") + sqlite3_errmsg(handle)};
  sqlite3_finalize(statement);
  sqlite3_close(handle);
  return rows;
}

/// A number, or -1 when there is none.
inline std::int64_t Number(const std::filesystem::path& db, const std::string& sql) {
  const std::vector<std::string> rows = Query(db, sql);
  if (rows.size() != 1 || rows[0].empty() ||
      rows[0].find_first_not_of("0123456789") != std::string::npos)
    return -1;
  return std::stoll(rows[0]);
}

/// What a finished run is, for comparison with another execution of the same suite.
struct Outcome {
  std::vector<std::string> samples;  // (model, precision, task, subset, index, repeat), sorted
  std::vector<std::string> answers;  // the same with everything but times
  std::string report;                // `report --no-timing --format json`
  std::vector<std::string> wrong;    // what no run may have, in words
};

inline std::string CommandOutput(const std::vector<std::string>& arguments,
                                 std::vector<std::string>& wrong) {
  std::vector<std::string> all = {testing::BinaryPath().string()};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const testing::ProgramResult result = testing::RunProgram(all);
  if (result.exit_code != 0)
    wrong.push_back(arguments[0] + " failed (" + std::to_string(result.exit_code) +
                    "): " + result.output);
  return result.output;
}

inline Outcome Look(const std::filesystem::path& db) {
  Outcome outcome;
  const auto must_be = [&](const std::string& sql, const std::string& expected) {
    const std::vector<std::string> rows = Query(db, sql);
    const std::string found = rows.empty() ? "nothing" : rows[0];
    if (found != expected) outcome.wrong.push_back(sql + ": " + found);
  };
  must_be("PRAGMA integrity_check", "ok");
  must_be("SELECT count(*) FROM pragma_foreign_key_check", "0");
  must_be("SELECT count(*) FROM divergence", "0");
  must_be("SELECT count(*) FROM leases WHERE state = 'open'", "0");
  must_be("SELECT count(*) FROM samples WHERE poisoned = 1", "0");
  must_be("SELECT count(*) FROM runs WHERE state <> 'finished'", "0");

  std::istringstream lines(CommandOutput({"samples", "--db", db.string()}, outcome.wrong));
  for (std::string line; std::getline(lines, line);) {
    const Result<Json> json = ParseJson(line);
    if (!json.ok() || !json->is_object()) {
      outcome.wrong.push_back("samples: not a JSON object: " + line);
      continue;
    }
    std::string name;
    for (const char* key : {"model", "precision", "task", "subset", "index", "repeat"})
      name += WriteJson(*json->Find(key)) + " ";
    outcome.samples.push_back(name);
    Json rest{Json::Object{}};
    for (const auto& [key, value] : json->as_object())
      if (key != "timing") rest.Set(key, value);
    outcome.answers.push_back(WriteJson(rest));
    if (json->Find("scores")->as_object().empty()) outcome.wrong.push_back(name + "has no score");
  }
  std::sort(outcome.samples.begin(), outcome.samples.end());
  for (std::size_t i = 1; i < outcome.samples.size(); ++i) {
    if (outcome.samples[i] == outcome.samples[i - 1])
      outcome.wrong.push_back(outcome.samples[i] + "is there twice");
  }
  outcome.report = CommandOutput({"report", "--db", db.string(), "--no-timing", "--format", "json"},
                                 outcome.wrong);
  return outcome;
}

/// Every way in which `found` is not what the undisturbed run gave; empty: none.
inline std::vector<std::string> Differences(const Outcome& calm, const Outcome& found) {
  std::vector<std::string> out = found.wrong;
  if (found.samples != calm.samples)
    out.push_back("the samples are not the planned ones: " + std::to_string(found.samples.size()) +
                  " of " + std::to_string(calm.samples.size()));
  if (found.answers != calm.answers) out.push_back("an answer or score is another one");
  if (found.report != calm.report) out.push_back("the report without timing has other bytes");
  return out;
}

}  // namespace h1bench::fault

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <fstream>

#include "base/json.h"
#include "harness/store/vfs.h"
#include "tests/cli/run_process.h"
#include "tests/paths.h"

/// Scoring again from stored responses: nothing changes when nothing changed, a response that says
/// something else is seen, old scores stay.
namespace h1bench {
namespace {

using testing::Program;

std::int64_t Execute(const std::string& file, const char* sql) {
  sqlite3* database = nullptr;
  EXPECT_EQ(RegisterVfs(), SQLITE_OK);  // pages must keep their checksums
  EXPECT_EQ(sqlite3_open_v2(file.c_str(), &database, SQLITE_OPEN_READWRITE, kVfsName), SQLITE_OK);
  std::int64_t value = 0;
  const auto take = [](void* out, int, char** columns, char**) {
    *static_cast<std::int64_t*>(out) =
        columns[0] == nullptr ? 0 : std::strtoll(columns[0], nullptr, 10);
    return 0;
  };
  EXPECT_EQ(sqlite3_exec(database, sql, take, &value, nullptr), SQLITE_OK)
      << sqlite3_errmsg(database);
  sqlite3_close(database);
  return value;
}

TEST(SlowScoreTest, OldAndNewSideBySide) {
  std::string pattern = (std::filesystem::temp_directory_path() / "h1bench-score-XXXXXX").string();
  const std::filesystem::path folder = mkdtemp(pattern.data());
  const std::string demo = (testing::SourceDir() / "demo").string(),
                    db = (folder / "a.db").string();
  std::ofstream(folder / "suite.yaml")
      << "name: s\ndata: " << demo << "/data\nmodels:\n  - {name: toy, path: " << demo
      << "/models/toy}\ntasks:\n  - {task: gsm8k, shots: 1, limit: 4, max_new_tokens: 60}\n";
  Program run(folder, "run",
              {"run", (folder / "suite.yaml").string(), "--db", db, "--engine", "cpu", "--progress",
               "none"});
  ASSERT_EQ(run.Wait(), 0) << run.err();

  const auto score = [&](const std::string& name) {
    Program program(folder, name, {"score", "--db", db, "--json"});
    EXPECT_EQ(program.Wait(), 0) << program.err();
    return *ParseJson(program.out());
  };
  const Json same = score("same");
  EXPECT_EQ(same.Find("to_version")->as_int(), 2);
  ASSERT_EQ(same.Find("scores")->as_array().size(), 2U);
  for (const Json& item : same.Find("scores")->as_array())
    EXPECT_EQ(item.Find("changed")->as_int(), 0);

  Execute(db,
          "UPDATE responses SET text = 'no number' WHERE key = (SELECT min(key) FROM responses)");
  std::int64_t changed = 0;
  const Json other = score("other");
  for (const Json& item : other.Find("scores")->as_array()) {
    changed += item.Find("changed")->as_int();
    EXPECT_LT(item.Find("after")->as_double(), item.Find("before")->as_double());
  }
  EXPECT_EQ(changed, 2);  // one sample, two metrics
  EXPECT_EQ(Execute(db, "SELECT count(DISTINCT version) FROM scores"), 3);
  EXPECT_EQ(Execute(db, "SELECT count(*) FROM scores"), 12);

  // Every format names the version of its scores, and has the earlier ones beside them.
  for (const std::string format : {"md", "html", "json"}) {
    Program report(folder, "report", {"report", "--db", db, "--format", format});
    EXPECT_EQ(report.Wait(), 0) << report.err();
    const std::string text = report.out();
    EXPECT_NE(text.find("version 3: scored again"), std::string::npos) << format;
    const Json& strict = same.Find("scores")->as_array()[1];
    ASSERT_NE(strict.Find("what")->as_string().find("strict-match"), std::string::npos);
    const double before = strict.Find("before")->as_double();
    EXPECT_GT(before, 0);
    for (const int version : {1, 2}) {
      EXPECT_NE(text.find(fmt::format("Scores of version {}", version)), std::string::npos);
      EXPECT_NE(text.find(fmt::format("toy bf16: gsm8k {:.2f} %", 100 * before)), std::string::npos)
          << format;
    }
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace h1bench

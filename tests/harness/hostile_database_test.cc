// Databases that must be refused, each with the exact words a person reads ("FILE" stands for the
// path).
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "tests/harness/coordinator_fixture.h"

namespace h1bench {
namespace {

namespace fs = std::filesystem;
using Mode = Store::Mode;
using testing::Sql;

std::string ReadBytes(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void WriteBytes(const fs::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

class HostileDatabase : public ::testing::Test {
 protected:
  /// A good database of one run with `samples` samples, one answered and scored, no log beside it.
  void Make(int samples) {
    testing::StoredRun made(samples);
    v1::Response answer;
    answer.set_key("key0");
    answer.add_loglikelihoods(-1);
    answer.add_loglikelihoods(-2);
    answer.add_is_greedy(true);
    answer.add_is_greedy(false);
    ASSERT_TRUE(made.store().RecordWorker(made.run(), "w", "one", "{}").ok());
    const auto grant = made.store().GrantLease(made.run(), "w", "one", {1});
    ASSERT_TRUE(grant.ok()) << grant.status().message();
    const Status stored = made.store().SubmitResponses(grant->lease_id, grant->attempt, "one",
                                                       {{1, FromWire(answer, "w")}}, true);
    ASSERT_TRUE(stored.ok()) << stored.message();
    ASSERT_TRUE(made.store().InsertScores({{1, "A", "right", "", {{"acc", 1}}, 1}}).ok());
    Sql(made.folder() / "run.db", "PRAGMA wal_checkpoint(TRUNCATE)");
    folder_ = fs::path(::testing::TempDir()) / ("h1bench-hostile-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    file_ = folder_ / "run.db";
    fs::copy_file(made.folder() / "run.db", file_);
    good_ = ReadBytes(file_);
  }
  void SetUp() override { Make(3); }
  void TearDown() override { fs::remove_all(folder_); }

  void Restore() {
    for (const char* end : {"", "-wal", "-shm", "-journal"}) fs::remove_all(file_.string() + end);
    WriteBytes(file_, good_);
  }

  std::string WithFile(std::string text) const {
    for (std::size_t at = 0; (at = text.find(file_.string(), at)) != std::string::npos;)
      text.replace(at, file_.string().size(), "FILE");
    return text;
  }

  std::string OpenError(Mode mode) const {
    const auto store = Store::Open(file_, mode);
    return store.ok() ? "opened" : WithFile(store.status().message());
  }

  /// Opens and reads all that a report reads.
  std::string ReadError() const {
    auto store = Store::Open(file_, Mode::kReadOnly);
    if (!store.ok()) return WithFile(store.status().message());
    const Status status = (*store)->ForEachSample(
        1, [](const VariantRow&, const RunTaskRow&, const SampleRow&, const ResponseRow*,
              const ScoreRow*) { return Status::Ok(); });
    return status.ok() ? "read" : WithFile(status.message());
  }

  fs::path folder_, file_;
  std::string good_;
};

TEST_F(HostileDatabase, TheGoodOneFirst) {
  EXPECT_EQ(OpenError(Mode::kReadOnly), "opened");
  EXPECT_EQ(ReadError(), "read");
  EXPECT_EQ(OpenError(Mode::kReadWrite), "opened");
}

TEST_F(HostileDatabase, ThingsThatAreNoFile) {
  const std::string folder = "FILE: is a folder, expected a database file";
  const std::string special = "FILE: is not a regular file, expected a database file";
  for (const Mode mode : {Mode::kReadOnly, Mode::kReadWrite}) {
    fs::remove_all(file_);
    fs::create_directory(file_);
    EXPECT_EQ(OpenError(mode), folder);
    fs::remove(file_);
    ASSERT_EQ(mkfifo(file_.c_str(), 0600), 0);
    EXPECT_EQ(OpenError(mode), special);  // and does not wait for a writer
    fs::remove(file_);
    fs::create_symlink("/dev/zero", file_);
    EXPECT_EQ(OpenError(mode), special);
  }
  fs::remove(file_);
  fs::create_symlink(folder_ / "gone", file_);
  EXPECT_EQ(OpenError(Mode::kReadOnly),
            "FILE: no such database. `h1bench run SUITE.yaml --db FILE` makes one.");
}

TEST_F(HostileDatabase, WrongBytes) {
  const std::string no_database =
      "FILE: query failed: file is not a database (SQLite 26). The file is damaged; copy it away "
      "and look at it with `sqlite3 FILE .recover`";
  const std::string checksum =
      "FILE: query failed: disk I/O error (SQLite 8202), a page's checksum is wrong. The file is "
      "damaged; copy it away and look at it with `sqlite3 FILE .recover`";
  const std::string malformed =
      "FILE: query failed: database disk image is malformed (SQLite 11). The file is damaged; copy "
      "it away and look at it with `sqlite3 FILE .recover`";
  const auto page = [](int number) {
    return fmt::format(
        "FILE: the database is damaged: Page {}: unable to get the page. error code=8202. Copy it "
        "away and look at it with `sqlite3 FILE .recover`.",
        number);
  };
  const int last = static_cast<int>(good_.size() / 4096);
  struct Case {
    const char* what;
    std::function<void(std::string& bytes)> damage;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"empty", [](std::string& b) { b.clear(); },
       "FILE: the database is empty. `h1bench run SUITE.yaml --db FILE` fills one."},
      {"text", [](std::string& b) { b = "models: [{path: /m}]\n"; }, no_database},
      {"zeros", [](std::string& b) { b.assign(8192, '\0'); }, no_database},
      {"magic", [](std::string& b) { b[0] = 's'; }, checksum},
      {"header alone", [](std::string& b) { b.resize(100); }, checksum},
      {"half a page", [](std::string& b) { b.resize(2048); }, checksum},
      {"one page", [](std::string& b) { b.resize(4096); }, malformed},
      {"last byte cut", [](std::string& b) { b.resize(b.size() - 1); }, page(last)},
      {"last page cut", [](std::string& b) { b.resize(b.size() - 4096); }, malformed},
      {"flip in page 1", [](std::string& b) { b[3000] ^= 1; }, checksum},
      {"flip in page 2", [](std::string& b) { b[4096 + 4000] ^= 1; }, page(2)},
      {"flip in the last page", [](std::string& b) { b[b.size() - 20] ^= 1; }, page(last)},
      {"two pages swapped",
       [](std::string& b) {
         std::swap_ranges(b.begin() + 4096, b.begin() + 8192, b.begin() + 8192);
       },
       page(2)},
      {"page size 3", [](std::string& b) { b[16] = 0, b[17] = 3; }, no_database},
      {"page size 65536", [](std::string& b) { b[16] = 0, b[17] = 1; }, checksum},
      {"no checksums claimed", [](std::string& b) { b[20] = 0; },
       "FILE: the database is damaged: Fragmentation of 8 bytes reported as 0 on page 23. Copy it "
       "away and look at it with `sqlite3 FILE .recover`."},
      {"another encoding", [](std::string& b) { b[59] = 2; }, checksum},
      {"file format 9", [](std::string& b) { b[18] = b[19] = 9; }, checksum},
  };
  for (const Case& item : cases) {
    Restore();
    std::string bytes = good_;
    item.damage(bytes);
    WriteBytes(file_, bytes);
    EXPECT_EQ(ReadError(), item.message) << item.what;
    EXPECT_EQ(ReadBytes(file_), bytes) << item.what << ": reading changed it";
  }
}

TEST_F(HostileDatabase, WrongSchema) {
  const std::string ours =
      ". This is not a database as h1bench makes it; restore the file or give another --db.";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"PRAGMA user_version=99",
       "FILE: written by a newer h1bench (schema 99, this program knows 3). Update h1bench."},
      {"PRAGMA user_version=0",
       "FILE: the database is empty. `h1bench run SUITE.yaml --db FILE` fills one."},
      {"PRAGMA user_version=-1",
       "FILE: schema version -1, expected 0 to 3. Restore the file or give another --db."},
      {"PRAGMA application_id=7",
       "FILE: this SQLite file is not a h1bench database (application_id 0x7, expected "
       "0x6831626e). Give another --db."},
      {"DROP TABLE divergence", "FILE: \"table divergence\" is missing" + ours},
      {"DROP INDEX samples_by_key", "FILE: \"index samples_by_key\" is missing" + ours},
      {"ALTER TABLE runs ADD COLUMN evil TEXT", "FILE: \"table runs\" was changed" + ours},
      {"ALTER TABLE scores RENAME COLUMN verdict TO v",
       "FILE: \"table scores\" was changed" + ours},
      {"DROP TABLE memory; CREATE VIEW memory AS SELECT 1",
       "FILE: \"table memory\" is missing" + ours},
      {"CREATE VIEW evil AS SELECT 1", "FILE: \"view evil\" is not one of ours" + ours},
      {"CREATE TRIGGER t AFTER INSERT ON responses BEGIN DELETE FROM scores; END",
       "FILE: \"trigger t\" is not one of ours" + ours},
      {"CREATE TABLE \"a\nb\"(x)", "FILE: \"table a\\nb\" is not one of ours" + ours},
  };
  for (const auto& [sql, message] : cases) {
    Restore();
    Sql(file_, sql);
    EXPECT_EQ(OpenError(Mode::kReadOnly), message) << sql;
    EXPECT_NE(OpenError(Mode::kReadWrite), "opened") << sql;
  }
}

TEST_F(HostileDatabase, WrongContent) {
  const std::string answer = "FILE: the answer with key \"key0\": responses.";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"UPDATE responses SET loglikelihoods = '[1'",
       answer +
           "loglikelihoods: 1:3: not valid JSON: Missing a comma or ']' after an array element."},
      {"UPDATE responses SET loglikelihoods = '{}'",
       answer + "loglikelihoods: expected an array, found object"},
      {"UPDATE responses SET loglikelihoods = '[\"1\"]'",
       answer + "loglikelihoods: expected numbers, found string"},
      {"UPDATE responses SET first_ids = '[-1]'", answer + "first_ids: not a token id"},
      {"UPDATE responses SET last_ids = '[2147483648]'", answer + "last_ids: not a token id"},
      {"UPDATE responses SET loglikelihoods = '[' || replace(hex(zeroblob(100000)), '00', '[')",
       answer + "loglikelihoods: 1:65: not valid JSON: nested deeper than 64"},
      {"UPDATE scores SET scores_json = '[]'",
       "FILE: scores_json of sample 1: expected an object, found array"},
      {"UPDATE scores SET scores_json = '{\"acc\":\"1\"}'",
       "FILE: scores_json of sample 1.acc: expected a number, found string"},
      {"UPDATE scores SET scores_json = '{\"acc\":1,\"acc\":0}'",
       "FILE: scores_json of sample 1: 1:15: not valid JSON: duplicate key \"acc\""},
  };
  for (const auto& [sql, message] : cases) {
    Restore();
    Sql(file_, sql);
    EXPECT_EQ(ReadError(), message) << sql;
  }
}

}  // namespace
}  // namespace h1bench

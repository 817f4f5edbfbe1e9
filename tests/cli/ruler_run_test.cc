#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "tests/cli/run_process.h"
#include "tests/paths.h"

// A whole RULER run with real processes: thirteen tasks at 4K on the demo's weights.
namespace h1bench {
namespace {

namespace fs = std::filesystem;
using testing::Program;

class RulerRun : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "h1bench-ruler-run-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    WriteModel();
  }
  void WriteSuite(std::int64_t samples) {
    std::ofstream(folder_ / "suite.yaml")
        << "data: " << (testing::SharedDir() / "data").string()
        << "\nmodels: [{name: toy, path: model, precisions: [bf16], max_length: 4096}]\n"
        << "tasks: [{task: ruler, lengths: [4096, 8192], samples: " << samples << "}]\n";
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// The toy model with twice the positions that 4K needs, and a tokenizer of words: with its own,
  /// cwe and qa_2 do not exist at 4K.
  void WriteModel() {
    const fs::path toy = testing::SourceDir() / "demo/models/toy";
    fs::copy(toy, folder_ / "model", fs::copy_options::recursive);
    Json config = *ParseJson(*ReadFile(toy / "config.json"));
    config.Set("max_position_embeddings", 8192);
    Json tokenizer = *ParseJson(*ReadFile(toy / "tokenizer.json"));
    Json vocabulary, splitter, model;
    std::int64_t next = 0;
    for (const Json& token : tokenizer.Find("added_tokens")->as_array()) {
      vocabulary.Set(token.Find("content")->as_string(), token.Find("id")->as_int());
      next = std::max(next, token.Find("id")->as_int() + 1);
    }
    vocabulary.Set("<unk>", next++);
    for (const char c : std::string("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
      vocabulary.Set(std::string(1, c), next++);
    model.Set("type", "BPE").Set("unk_token", "<unk>").Set("fuse_unk", true);
    model.Set("vocab", vocabulary).Set("merges", Json(Json::Array{}));
    tokenizer.Set("model", model).Set("pre_tokenizer", splitter.Set("type", "WhitespaceSplit"));
    Write("config.json", config);
    Write("tokenizer.json", tokenizer);
  }
  void Write(const std::string& name, const Json& json) {
    fs::permissions(folder_ / "model", fs::perms::owner_all, fs::perm_options::add);
    const Status status = WriteFileAtomically(folder_ / "model" / name, WriteJson(json));
    ASSERT_TRUE(status.ok()) << status.message();
  }

  std::string Digest(const std::string& name, const std::string& workers) {
    Program program(folder_, name,
                    {"run", (folder_ / "suite.yaml").string(), "--db", Db(name), "--json",
                     "--progress", "none", "--workers", workers});
    EXPECT_EQ(program.Wait(), 0) << program.err();
    const Result<Json> json = ParseJson(program.out());
    EXPECT_TRUE(json.ok()) << program.out();
    return json.ok() ? json->Find("results_digest")->as_string() : "";
  }
  std::string Db(const std::string& name) const { return (folder_ / (name + ".db")).string(); }

  /// One and three workers end with one digest; the report has the table by length.
  void ExpectTableWhateverTheWorkers(std::int64_t samples);

  fs::path folder_;
};
using SlowRulerRun = RulerRun;
using FullRulerRun = RulerRun;

void RulerRun::ExpectTableWhateverTheWorkers(std::int64_t samples) {
  WriteSuite(samples);
  const std::string one = Digest("one", "1");
  EXPECT_EQ(one.size(), 64U);
  EXPECT_EQ(Digest("three", "3"), one);

  Program report(folder_, "report", {"report", "--db", Db("one"), "--format", "json"});
  ASSERT_EQ(report.Wait(), 0) << report.err();
  const Result<Json> json = ParseJson(report.out());
  ASSERT_TRUE(json.ok()) << report.out();
  const Json& cell = *json->Find("leaderboard")->as_array()[0].Find("tasks")->Find("ruler");
  EXPECT_EQ(cell.Find("samples")->as_int(), 13 * samples);
  EXPECT_EQ(cell.Find("scored")->as_int(), 13 * samples);
  EXPECT_EQ(cell.Find("truncated")->as_int(), 0);
  EXPECT_FALSE(cell.Find("complete")->as_bool());  // 8K is beyond the limit: n/a, not 0
  const Json& lengths = *cell.Find("by_length")->Find("lengths");
  ASSERT_EQ(lengths.as_array().size(), 2U);
  EXPECT_TRUE(lengths.as_array()[0].Find("score")->is_object());
  EXPECT_TRUE(lengths.as_array()[1].Find("score")->is_null());
  Program table(folder_, "table", {"report", "--db", Db("three"), "--format", "md"});
  ASSERT_EQ(table.Wait(), 0) << table.err();
  EXPECT_NE(table.out().find("| model | 4K | 8K | effective"), std::string::npos) << table.out();
  EXPECT_NE(table.out().find("| n/a | none | n/a | n/a |"), std::string::npos) << table.out();
}

TEST_F(SlowRulerRun, EndsWithTheTableWhateverTheWorkers) {
  H1_NEED_SHARED();
  ExpectTableWhateverTheWorkers(1);
}

/// A whole RULER-4K run.
TEST_F(FullRulerRun, ThirteenTasksOfFiveSamples) {
  H1_NEED_SHARED();
  ExpectTableWhateverTheWorkers(5);
}

}  // namespace
}  // namespace h1bench

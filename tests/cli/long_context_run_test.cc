#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "tests/cli/run_process.h"
#include "tests/paths.h"

// Whole RULER and HELMET runs with real processes, by one worker and by three.
namespace h1bench {
namespace {

namespace fs = std::filesystem;
using testing::Program;

class LongContextRun : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "h1bench-long-run-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string Toy() { return (testing::SourceDir() / "demo/models/toy").string(); }
  void WriteSuite(const fs::path& data, const std::string& model, const std::string& tasks) {
    std::ofstream(folder_ / "suite.yaml")
        << "data: " << data.string() << "\nmodels: [{name: toy, path: " << model
        << ", precisions: [bf16]}]\ntasks:\n"
        << tasks;
  }
  std::string Db(const std::string& name) const { return (folder_ / (name + ".db")).string(); }

  /// Standard output of a command that succeeds.
  std::string Out(const std::string& name, const std::vector<std::string>& arguments) {
    Program program(folder_, name, arguments);
    EXPECT_EQ(program.Wait(), 0) << program.err();
    return program.out();
  }
  std::string Digest(const std::string& name, const std::string& workers) {
    const auto json =
        ParseJson(Out(name, {"run", (folder_ / "suite.yaml").string(), "--db", Db(name), "--json",
                             "--progress", "none", "--workers", workers}));
    return json.ok() ? json->Find("results_digest")->as_string() : "";
  }
  /// One and three workers end with one digest; the report's cells by task.
  Json RunTwice() {
    const std::string one = Digest("one", "1");
    EXPECT_EQ(one.size(), 64U);
    EXPECT_EQ(Digest("three", "3"), one);
    const auto json = ParseJson(Out("json", {"report", "--db", Db("one"), "--format", "json"}));
    if (!json.ok()) return Json();
    return *json->Find("leaderboard")->as_array()[0].Find("tasks");
  }
  std::string Markdown() { return Out("md", {"report", "--db", Db("three"), "--format", "md"}); }

  /// The toy model with a tokenizer of words, with which all of RULER's samples exist at 4K.
  void WriteWordModel() {
    fs::copy(Toy(), folder_ / "model", fs::copy_options::recursive);
    Json tokenizer = *ParseJson(*ReadFile(folder_ / "model/tokenizer.json"));
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
    fs::permissions(folder_ / "model", fs::perms::owner_all, fs::perm_options::add);
    const Status status =
        WriteFileAtomically(folder_ / "model/tokenizer.json", WriteJson(tokenizer));
    ASSERT_TRUE(status.ok()) << status.message();
  }

  static void ExpectAll(const Json& cell, std::int64_t samples) {
    EXPECT_EQ(cell.Find("samples")->as_int(), samples);
    EXPECT_EQ(cell.Find("scored")->as_int(), samples);
    EXPECT_EQ(cell.Find("errors")->as_int(), 0);
    EXPECT_EQ(cell.Find("truncated")->as_int(), 0);
  }
  /// Which lengths of a cell have a score.
  static std::vector<bool> Scored(const Json& cell) {
    std::vector<bool> scored;
    for (const Json& length : cell.Find("by_length")->Find("lengths")->as_array())
      scored.push_back(length.Find("score")->is_object());
    return scored;
  }
  void ExpectRulerOnTheDemo(std::int64_t samples);

  fs::path folder_;
};
using SlowRulerRun = LongContextRun;
using FullRulerRun = LongContextRun;
using SlowHelmetRun = LongContextRun;

/// The demo model as it is. Its tokenizer of 1024 entries makes so many tokens that the ten
/// paragraphs of qa_2 and the lists of cwe do not fit 4K: there, eleven tasks; at 8K all thirteen.
void LongContextRun::ExpectRulerOnTheDemo(std::int64_t samples) {
  const std::string at_4k =
      "niah_single_1, niah_single_2, niah_single_3, niah_multikey_1, niah_multikey_2, "
      "niah_multikey_3, niah_multivalue, niah_multiquery, vt, fwe, qa_1";
  WriteSuite(
      testing::SharedDir() / "data", Toy(),
      fmt::format("  - {{task: ruler, name: r4, lengths: [4096], subjects: [{}], samples: {}}}\n"
                  "  - {{task: ruler, name: r8, lengths: [8192, 32768], samples: {}}}\n",
                  at_4k, samples, samples));
  const Json tasks = RunTwice();
  ExpectAll(*tasks.Find("r4"), 11 * samples);
  ExpectAll(*tasks.Find("r8"), 13 * samples);
  EXPECT_EQ(Scored(*tasks.Find("r4")), (std::vector<bool>{true}));
  EXPECT_TRUE(tasks.Find("r4")->Find("complete")->as_bool());
  // 32K is beyond the model's limit: n/a, not 0.
  EXPECT_EQ(Scored(*tasks.Find("r8")), (std::vector<bool>{true, false}));
  EXPECT_FALSE(tasks.Find("r8")->Find("complete")->as_bool());
  const std::string text = Markdown();
  EXPECT_NE(text.find("| model | 4K | effective"), std::string::npos) << text;
  EXPECT_NE(text.find("| model | 8K | 32K | effective"), std::string::npos) << text;
  EXPECT_NE(text.find("32768 tokens are beyond its limit of 16384"), std::string::npos) << text;
}

TEST_F(SlowRulerRun, OnTheDemoModel) {
  H1_NEED_SHARED();
  ExpectRulerOnTheDemo(1);
}

TEST_F(FullRulerRun, OnTheDemoModelWithFiveSamples) {
  H1_NEED_SHARED();
  ExpectRulerOnTheDemo(5);
}

/// A whole RULER-4K run: thirteen tasks of five samples.
TEST_F(FullRulerRun, ThirteenTasksAt4K) {
  H1_NEED_SHARED();
  WriteWordModel();
  WriteSuite(testing::SharedDir() / "data", "model",
             "  - {task: ruler, lengths: [4096], samples: 5}\n");
  const Json tasks = RunTwice();
  ExpectAll(*tasks.Find("ruler"), 13 * 5);
  EXPECT_EQ(Scored(*tasks.Find("ruler")), (std::vector<bool>{true}));
  EXPECT_NE(Markdown().find("| model | 4K | effective"), std::string::npos);
}

/// All sixteen data sets from files of our own in HELMET's formats, some cut to the length.
TEST_F(SlowHelmetRun, EveryCategoryOnTheDemoModel) {
  fs::copy(testing::GoldensDir() / "helmet/data", folder_ / "data", fs::copy_options::recursive);
  WriteSuite(folder_ / "data", Toy(), "  - {task: helmet, lengths: [8192], samples: 1}\n");
  const Json tasks = RunTwice();
  const Json& cell = *tasks.Find("helmet");
  const std::int64_t samples = cell.Find("samples")->as_int();
  EXPECT_GE(samples, 16);
  ExpectAll(cell, samples);
  EXPECT_EQ(Scored(cell), (std::vector<bool>{true}));
  const Json& categories = *cell.Find("by_length")->Find("categories");
  EXPECT_EQ(categories.as_object().size(), 5U);
  for (const auto& [name, lengths] : categories.as_object())
    EXPECT_TRUE(lengths.as_array()[0].Find("score")->is_object()) << name;
  // What was asked is what `prompts` prints.
  const std::string asked =
      Out("prompts", {"prompts", "helmet", "--data", (folder_ / "data").string(), "--model", Toy(),
                      "--lengths", "8192", "--samples", "1", "--sha256"});
  const std::string stored = Out("samples", {"samples", "--db", Db("three")});
  std::istringstream lines(stored);
  std::int64_t found = 0;
  for (std::string line; std::getline(lines, line); ++found)
    EXPECT_NE(asked.find(ParseJson(line)->Find("prompt_sha256")->as_string()), std::string::npos);
  EXPECT_EQ(found, samples);
}

}  // namespace
}  // namespace h1bench

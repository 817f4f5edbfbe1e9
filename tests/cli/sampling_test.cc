#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "tests/cli/run_process.h"
#include "tests/paths.h"

/// Several samples of a document: what is drawn is a function of (seed, document, repeat).
namespace h1bench {
namespace {

using testing::Program;

class SlowSamplingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (access("/usr/bin/bwrap", X_OK) != 0) GTEST_SKIP() << "needs bubblewrap";
    std::string pattern =
        (std::filesystem::temp_directory_path() / "h1bench-sampling-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// Runs a model with random weights on three problems; the samples as stored.
  std::vector<Json> Run(const std::string& name, int repeats, int seed,
                        const std::vector<std::string>& more) {
    const std::string demo = (testing::SourceDir() / "demo").string();
    const std::string suite = (folder_ / (name + ".yaml")).string();
    db_ = (folder_ / (name + ".db")).string();
    std::ofstream(suite) << "name: sampled\ndata: " << demo
                         << "/data\nmodels:\n  - {name: untrained, "
                         << "path: " << demo
                         << "/models/untrained, precisions: [bf16]}\nseed: " << seed
                         << "\ntasks:\n  - {task: humaneval, limit: 3, max_new_tokens: 16, "
                         << "temperature: 0.9, top_p: 0.95, repeats: " << repeats << "}\n";
    std::vector<std::string> arguments = {"run",    suite,        "--db", db_,
                                          "--json", "--progress", "none"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Program run(folder_, name, arguments);
    EXPECT_EQ(run.Wait(), 0) << run.err();
    Program list(folder_, "samples", {"samples", "--db", db_});
    EXPECT_EQ(list.Wait(), 0) << list.err();
    std::vector<Json> rows;
    const std::string out = list.out();
    for (const std::string_view line : SplitLines(out)) {
      if (!line.empty()) rows.push_back(ParseJson(line).value());
    }
    EXPECT_EQ(rows.size(), static_cast<std::size_t>(3 * repeats));
    return rows;
  }

  using Responses = std::map<std::pair<std::int64_t, std::int64_t>, std::string>;
  static Responses ByRepeat(const std::vector<Json>& rows, std::int64_t repeats) {
    Responses responses;
    for (const Json& row : rows) {
      const std::int64_t repeat = row.Find("repeat")->as_int();
      if (repeat < repeats)
        responses[{row.Find("index")->as_int(), repeat}] = row.Find("response")->as_string();
    }
    return responses;
  }

  std::filesystem::path folder_;
  std::string db_;
};

TEST_F(SlowSamplingTest, DrawsDependOnSeedDocumentAndRepeatAlone) {
  const auto four = ByRepeat(Run("four", 4, 1234, {"--workers", "1", "--batch", "16"}), 4);
  std::set<std::string> texts;
  for (const auto& [place, text] : four) texts.insert(text);
  EXPECT_EQ(texts.size(), 12U) << "random weights should never answer twice the same";
  // pass@1, pass@2 and pass@4 are in the report.
  Program report(folder_, "report", {"report", "--db", db_, "--format", "json"});
  ASSERT_EQ(report.Wait(), 0) << report.err();
  for (const char* metric : {"pass@1", "pass@2", "pass@4"})
    EXPECT_NE(report.out().find("\"" + std::string(metric) + "\""), std::string::npos) << metric;
  EXPECT_EQ(report.out().find("\"pass@8\""), std::string::npos);

  // Neither workers, batches, reuse nor the number of repeats change a draw.
  EXPECT_EQ(ByRepeat(Run("spread", 4, 1234, {"--workers", "3", "--batch", "1"}), 4), four);
  EXPECT_EQ(ByRepeat(Run("fresh", 4, 1234, {"--workers", "1", "--no-prefix-reuse"}), 4), four);
  const auto two = ByRepeat(Run("two", 2, 1234, {"--workers", "1"}), 2);
  for (const auto& [place, text] : two) EXPECT_EQ(four.at(place), text);
  // Another seed does.
  EXPECT_NE(ByRepeat(Run("other", 4, 1235, {"--workers", "1"}), 4), four);
}

}  // namespace
}  // namespace h1bench

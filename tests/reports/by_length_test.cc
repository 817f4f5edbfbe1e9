#include "reports/by_length.h"

#include <gtest/gtest.h>

#include <cmath>

#include "reports/render/render.h"

namespace h1bench::reports {
namespace {

Json Describe(const std::string& lengths) {
  return *ParseJson(R"({"by_length": {"lengths": )" + lengths + R"(, "threshold": 85.6}})");
}

TEST(ByLength, AveragesWeighLengthsAsTheRulerTableDoes) {
  // A row of RULER's published table (Gemini-1.5-Pro): wAvg(inc) 95.5, wAvg(dec) 96.1.
  const double scores[] = {0.967, 0.958, 0.960, 0.959, 0.959, 0.944};
  std::vector<std::pair<std::string, double>> values;
  std::int64_t length = 4096;
  for (const double score : scores) {
    for (const char* task : {"vt", "cwe"})
      values.emplace_back(std::to_string(length) + "/" + task, score);
    length *= 2;
  }
  const ByLength all = SummariseLengths(Describe("[4096,8192,16384,32768,65536,131072]"), values);
  ASSERT_TRUE(all.increasing && all.decreasing && all.effective);
  EXPECT_NEAR(*all.increasing, 2.0058 / 2.1, 1e-9);
  EXPECT_NEAR(*all.decreasing, 2.0171 / 2.1, 1e-9);
  EXPECT_EQ(*all.effective, 131072);
}

TEST(ByLength, ScoreIsTheMeanOverTasksWhateverTheirSamples) {
  const ByLength one = SummariseLengths(
      Describe("[4096]"), {{"4096/vt", 1}, {"4096/vt", 1}, {"4096/vt", 1}, {"4096/cwe", 0}});
  ASSERT_EQ(one.lengths.size(), 1U);
  EXPECT_DOUBLE_EQ(one.lengths[0].score->mean, 0.5);
  EXPECT_FALSE(one.effective);
}

TEST(ByLength, EffectiveIsAtTheThresholdNotBelow) {
  const auto effective = [](double score) {
    return SummariseLengths(Describe("[4096]"), {{"4096/vt", score}}).effective.has_value();
  };
  EXPECT_TRUE(effective(0.856));
  EXPECT_FALSE(effective(0.8559));
}

TEST(ByLength, AMissingLengthIsNothingAndNotZero) {
  const ByLength part = SummariseLengths(Describe("[4096,8192]"), {{"4096/vt", 0.9}});
  ASSERT_EQ(part.lengths.size(), 2U);
  EXPECT_FALSE(part.lengths[1].score);
  EXPECT_FALSE(part.increasing);
  EXPECT_FALSE(part.decreasing);
  EXPECT_EQ(part.effective, 4096);
  EXPECT_TRUE(SummariseLengths(*ParseJson("{}"), {{"4096/vt", 1}}).empty());
}

/// Two categories of two and one task.
Json Categories() {
  return *ParseJson(R"({"by_length": {"lengths": [8192, 16384],
      "categories": {"Recall": ["json_kv", "mk"], "ICL": ["trec"]}}})");
}

TEST(ByLength, CategoriesCountTheSameWhateverTheirTasks) {
  const ByLength scores = SummariseLengths(
      Categories(), {{"8192/json_kv", 1}, {"8192/json_kv", 0}, {"8192/mk", 1}, {"8192/trec", 0}});
  ASSERT_EQ(scores.categories.size(), 2U);
  EXPECT_EQ(scores.categories[0].name, "Recall");
  EXPECT_DOUBLE_EQ(scores.categories[0].lengths[0].score->mean, 0.75);  // not 2 of 3
  EXPECT_DOUBLE_EQ(scores.categories[1].lengths[0].score->mean, 0);
  EXPECT_DOUBLE_EQ(scores.lengths[0].score->mean, 0.375);  // not the mean over tasks, 0.5
  EXPECT_FALSE(scores.lengths[1].score);
  EXPECT_DOUBLE_EQ(scores.mean.mean, 0.375);  // of the length that was asked
  EXPECT_FALSE(scores.threshold || scores.effective || scores.increasing);
  EXPECT_EQ(scores.mean.n, 4);
}

TEST(ByLength, TheTableHasARowForEveryCategory) {
  Report report;
  report.variants.resize(1);
  report.variants[0].cells.resize(1);
  report.variants[0].cells[0].by_length =
      SummariseLengths(Categories(), {{"8192/json_kv", 1}, {"8192/mk", 0}, {"8192/trec", 0}});
  const auto rows = LengthTable(report, 0);
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[0], (std::vector<std::string>{"model", "category", "8K", "16K"}));
  EXPECT_EQ(rows[1][1], "Recall");
  EXPECT_TRUE(rows[1][2].starts_with("50.0 ")) << rows[1][2];
  EXPECT_EQ(rows[2][1], "ICL");
  EXPECT_EQ(rows[3][1], "mean");
  EXPECT_TRUE(rows[3][2].starts_with("25.0 ")) << rows[3][2];
  for (std::size_t row = 1; row < 4; ++row) EXPECT_EQ(rows[row][3], "n/a");
}

TEST(ByLength, ALengthWithoutACategoryHasNoMean) {
  const ByLength scores = SummariseLengths(Categories(), {{"8192/json_kv", 1}});
  EXPECT_TRUE(scores.categories[0].lengths[0].score);
  EXPECT_FALSE(scores.categories[1].lengths[0].score);
  EXPECT_FALSE(scores.lengths[0].score);
}

TEST(ByLength, ErrorsOfCategoriesAddInSquares) {
  std::vector<std::pair<std::string, double>> values;
  for (int i = 0; i < 100; ++i) {
    values.emplace_back("8192/json_kv", i % 2);
    values.emplace_back("8192/trec", i % 4 == 0 ? 1 : 0);
  }
  const Json one = *ParseJson(R"({"by_length": {"lengths": [8192],
      "categories": {"Recall": ["json_kv"], "ICL": ["trec"]}}})");
  const ByLength scores = SummariseLengths(one, values);
  const double a = 0.5 / std::sqrt(99.0), b = std::sqrt(0.75 * 0.25 / 99);
  EXPECT_NEAR(scores.lengths[0].score->standard_error, std::sqrt(a * a + b * b) / 2, 1e-12);
}

TEST(ByLength, LengthsBeyondTheLimit) {
  EXPECT_EQ(LengthsBeyond(Describe("[8192,4096]"), 4096), (std::vector<std::int64_t>{8192}));
  EXPECT_EQ(LengthsBeyond(*ParseJson(R"({"grid": {"lengths": [512, 2048]}})"), 1024),
            (std::vector<std::int64_t>{2048}));
  EXPECT_TRUE(LengthsBeyond(*ParseJson("{}"), 1).empty());
}

}  // namespace
}  // namespace h1bench::reports

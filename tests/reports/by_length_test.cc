#include "reports/by_length.h"

#include <gtest/gtest.h>

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

TEST(ByLength, LengthsBeyondTheLimit) {
  EXPECT_EQ(LengthsBeyond(Describe("[8192,4096]"), 4096), (std::vector<std::int64_t>{8192}));
  EXPECT_EQ(LengthsBeyond(*ParseJson(R"({"grid": {"lengths": [512, 2048]}})"), 1024),
            (std::vector<std::int64_t>{2048}));
  EXPECT_TRUE(LengthsBeyond(*ParseJson("{}"), 1).empty());
}

}  // namespace
}  // namespace h1bench::reports

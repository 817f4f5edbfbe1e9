// Against constants computed with Python from the formulas' definitions (math.sqrt, z
// = 1.959963984540054).
#include <gtest/gtest.h>

#include <cmath>

#include "reports/statistics/interval.h"

namespace h1bench::reports {
namespace {

using Labelled = std::vector<std::pair<std::string, double>>;

// p=k/n; d=1+z*z/n; c=(p+z*z/(2*n))/d; h=z/d*sqrt(p*(1-p)/n+z*z/(4*n*n)); c-h, c+h
TEST(Statistics, Wilson) {
  EXPECT_NEAR(WilsonInterval(7, 10).low, 0.39677814746114537, 1e-12);
  EXPECT_NEAR(WilsonInterval(7, 10).high, 0.8922087325936989, 1e-12);
  EXPECT_EQ(WilsonInterval(0, 20).low, 0.0);
  EXPECT_NEAR(WilsonInterval(0, 20).high, 0.16112515805281938, 1e-12);
  EXPECT_NEAR(WilsonInterval(50, 100).low, 0.4038315303659956, 1e-12);
  EXPECT_EQ(WilsonInterval(20, 20).high, 1.0);
  EXPECT_EQ(WilsonInterval(0, 0).high, 0.0);
}

// m = sum/n; se = sqrt(sum((x-m)^2)/(n-1)/n); m -+ z*se
TEST(Statistics, MeanOfOtherValues) {
  const Estimate estimate = MeanEstimate({0.2, 0.4, 0.9, 0.5});
  EXPECT_DOUBLE_EQ(estimate.mean, 0.5);
  EXPECT_NEAR(estimate.interval.low, 0.21150111303211921, 1e-12);
  EXPECT_NEAR(estimate.interval.high, 0.7884988869678808, 1e-12);
  // n instead of n-1 would give 0.2502: the bound tells them apart.
  EXPECT_GT(0.2502 - estimate.interval.low, 0.01);
  EXPECT_EQ(MeanEstimate({}).n, 0);
  EXPECT_EQ(MeanEstimate({1, 0, 1}).interval.low, WilsonInterval(2, 3).low);
}

// S = sum over clusters of (sum of residuals)^2; se = sqrt(S*C/(C-1))/n
TEST(Statistics, ClustersWiden) {
  const Labelled values = {{"a", 1}, {"a", 1}, {"a", 1}, {"a", 1}, {"b", 0}, {"b", 0},
                           {"b", 0}, {"b", 1}, {"c", 0}, {"c", 1}, {"c", 0}, {"c", 0}};
  const Estimate estimate = ClusteredEstimate(values);
  EXPECT_DOUBLE_EQ(estimate.mean, 0.5);
  EXPECT_NEAR(estimate.interval.low, 0.010009003864986488, 1e-12);
  EXPECT_NEAR(estimate.interval.high, 0.9899909961350135, 1e-12);
  // One cluster, or clusters that are all alike, leave the plain interval.
  EXPECT_EQ(ClusteredEstimate({{"a", 1}, {"a", 0}}).interval.low, WilsonInterval(1, 2).low);
}

// mean of cluster means; se = sqrt(sum of var(cluster)/n(cluster))/C
TEST(Statistics, Macro) {
  const Estimate estimate = MacroEstimate(
      {{"a", 1}, {"a", 0}, {"a", 1}, {"a", 1}, {"b", 0}, {"b", 0}, {"b", 0}, {"b", 1}});
  EXPECT_DOUBLE_EQ(estimate.mean, 0.5);
  EXPECT_NEAR(estimate.interval.low, 0.1535240439125805, 1e-12);
  EXPECT_NEAR(estimate.interval.high, 0.8464759560874195, 1e-12);
  // Means of clusters weigh the same whatever their sizes.
  EXPECT_DOUBLE_EQ(MacroEstimate({{"a", 1}, {"b", 0}, {"b", 0}, {"b", 0}}).mean, 0.5);
}

TEST(Statistics, NoSpreadIsNotCertainty) {
  const Estimate all = MacroEstimate({{"a", 1}, {"a", 1}, {"b", 1}, {"b", 1}});
  EXPECT_EQ(all.mean, 1.0);
  EXPECT_LT(all.interval.low, 0.9);
  EXPECT_EQ(all.interval.high, 1.0);
  // All documents at the same share are no certainty either.
  EXPECT_GT(MeanEstimate({0.5, 0.5, 0.5, 0.5}).interval.half_width(), 0.3);
  const Estimate split = MacroEstimate({{"a", 1}, {"a", 1}, {"b", 0}, {"b", 0}});
  EXPECT_GT(split.interval.half_width(), 0.1);
}

// By hand: clusters 1 0 and 1 1 0: squares 1/2 + 2/3, n - k = 3, SE = sqrt(7/18 / 5).
TEST(Statistics, PooledErrorOfLmEval) {
  const std::vector<std::pair<std::string, double>> values = {
      {"a", 1}, {"a", 0}, {"b", 1}, {"b", 1}, {"b", 0}};
  const Estimate pooled = PooledEstimate(values);
  EXPECT_DOUBLE_EQ(pooled.mean, 0.6);
  EXPECT_DOUBLE_EQ(pooled.standard_error, std::sqrt(7.0 / 18 / 5));
  EXPECT_NE(pooled.standard_error, ClusteredEstimate(values).standard_error);
  EXPECT_NE(pooled.mean, MacroEstimate(values).mean);
  EXPECT_EQ(PooledEstimate({{"a", 1}, {"b", 0}}).n, 2);
}

// The vectors of lm-eval's and OpenAI's pass@k: 1 - C(n-c,k)/C(n,k).
TEST(Statistics, PassAtK) {
  EXPECT_NEAR(PassAtK(10, 3, 1), 0.3, 1e-12);
  EXPECT_NEAR(PassAtK(10, 3, 5), 0.916667, 1e-6);
  EXPECT_NEAR(PassAtK(64, 1, 32), 0.5, 1e-12);
  EXPECT_EQ(PassAtK(5, 0, 1), 0.0);
  EXPECT_EQ(PassAtK(5, 5, 3), 1.0);
}

TEST(Statistics, Percentile) {
  EXPECT_DOUBLE_EQ(Percentile({3, 1, 2}, 0.5), 2);
  EXPECT_DOUBLE_EQ(Percentile({4, 1}, 0.25), 1.75);
  EXPECT_DOUBLE_EQ(Percentile({4, 1}, 1), 4);
  EXPECT_EQ(Percentile({}, 0.5), 0);
}

}  // namespace
}  // namespace h1bench::reports

#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// The statistics behind every number that is printed with an interval. Pure functions; each is
/// tested against constants computed independently.
namespace h1bench::reports {

struct Interval {
  double low = 0, high = 0;
  double half_width() const { return (high - low) / 2; }
};

/// A mean with its 95 % interval. n = 0 gives all zeros.
struct Estimate {
  double mean = 0;
  Interval interval;
  std::int64_t n = 0;
  double standard_error = 0;  // before the interval is cut to [0, 1]
  /// The longer arm of the interval: what may stand behind a ± without promising too much.
  double reach() const { return std::max(mean - interval.low, interval.high - mean); }
};

/// 97.5 % point of the normal distribution.
inline constexpr double kZ95 = 1.959963984540054;

/// Wilson's score interval of `successes` out of `n` (E. B. Wilson, 1927): honest near 0 and 1 and
/// for small n.
/// `successes` may be a sum of shares (repeats averaged by document).
Interval WilsonInterval(double successes, std::int64_t n);

/// Mean of values. All 0 or 1, or all equal: Wilson's interval. Otherwise mean +- z * standard
/// error with the n-1 variance, cut to the range [0, 1] when every value lies in it.
Estimate MeanEstimate(const std::vector<double>& values);

/// Mean of values that come in clusters (questions of one MMLU subject, one context length).
/// Variance of the sum over clusters as in E. Miller, arXiv 2411.00640: SE^2 = sum over clusters of
/// (sum of residuals)^2 / n^2, times C/(C-1). Fewer than two clusters, or a clustered error below
/// the plain one: MeanEstimate.
Estimate ClusteredEstimate(const std::vector<std::pair<std::string, double>>& values);

/// Mean of cluster means (macro average) with the standard error of independent cluster means. A
/// cluster without any spread (all right, all wrong, a single answer) counts with Wilson's error,
/// not with none.
Estimate MacroEstimate(const std::vector<std::pair<std::string, double>>& values);

/// Mean of independent means, each counting the same (macro averages of categories); n is the sum
/// of theirs. None: all zeros.
Estimate MeanOfEstimates(const std::vector<Estimate>& estimates);

/// Mean of all values with the error of lm-eval's groups (pooled_sample_stderr): with s_i the
/// standard error of cluster i of n_i values, variance = sum (n_i - 1) s_i^2 n_i / (sum n_i - k)
/// and SE = sqrt(variance / sum n_i). Clusters of one value have s_i = 0. As many clusters as
/// values: MeanEstimate.
Estimate PooledEstimate(const std::vector<std::pair<std::string, double>>& values);

/// Unbiased pass@k of one problem: 1 - C(n-c, k) / C(n, k) (M. Chen et al., arXiv 2107.03374). n >=
/// k >= 1.
double PassAtK(std::int64_t n, std::int64_t correct, std::int64_t k);

/// The value below which `share` (0..1) of the sorted copy lies, by linear interpolation between
/// neighbours. Empty: 0.
double Percentile(std::vector<double> values, double share);

}  // namespace h1bench::reports

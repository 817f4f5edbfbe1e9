#include "reports/statistics/interval.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace h1bench::reports {
namespace {

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

bool AllWithinUnit(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](double value) { return value >= 0 && value <= 1; });
}

Estimate FromError(double mean, double standard_error, std::int64_t n, bool unit) {
  Interval interval{mean - kZ95 * standard_error, mean + kZ95 * standard_error};
  if (unit) interval = {std::max(0.0, interval.low), std::min(1.0, interval.high)};
  return {mean, interval, n, standard_error};
}

std::map<std::string, std::vector<double>> Group(
    const std::vector<std::pair<std::string, double>>& values) {
  std::map<std::string, std::vector<double>> clusters;
  for (const auto& [cluster, value] : values) clusters[cluster].push_back(value);
  return clusters;
}

std::vector<double> Values(const std::vector<std::pair<std::string, double>>& values) {
  std::vector<double> plain;
  plain.reserve(values.size());
  for (const auto& item : values) plain.push_back(item.second);
  return plain;
}

}  // namespace

Interval WilsonInterval(double successes, std::int64_t n) {
  if (n <= 0) return {};
  const double count = static_cast<double>(n), p = successes / count, z2 = kZ95 * kZ95;
  const double centre = (p + z2 / (2 * count)) / (1 + z2 / count);
  const double half =
      kZ95 / (1 + z2 / count) * std::sqrt(p * (1 - p) / count + z2 / (4 * count * count));
  return {successes == 0 ? 0.0 : std::max(0.0, centre - half),
          successes == count ? 1.0 : std::min(1.0, centre + half)};
}

Estimate MeanEstimate(const std::vector<double>& values) {
  const auto n = static_cast<std::int64_t>(values.size());
  if (n == 0) return {};
  const double mean = Mean(values);
  const bool shares = std::all_of(values.begin(), values.end(),
                                  [](double value) { return value == 0 || value == 1; });
  const bool equal =
      std::all_of(values.begin(), values.end(), [&](double value) { return value == values[0]; });
  if (shares || (equal && AllWithinUnit(values))) {
    double sum = 0;
    for (const double value : values) sum += value;
    const Interval interval = WilsonInterval(sum, n);
    return {mean, interval, n, interval.half_width() / kZ95};
  }
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double error =
      n < 2 ? 0 : std::sqrt(squares / static_cast<double>(n - 1) / static_cast<double>(n));
  return FromError(mean, error, n, AllWithinUnit(values));
}

Estimate ClusteredEstimate(const std::vector<std::pair<std::string, double>>& values) {
  const std::vector<double> plain = Values(values);
  const Estimate simple = MeanEstimate(plain);
  const auto clusters = Group(values);
  if (clusters.size() < 2) return simple;
  double sum = 0;
  for (const auto& [name, members] : clusters) {
    double residual = 0;
    for (const double value : members) residual += value - simple.mean;
    sum += residual * residual;
  }
  const double count = static_cast<double>(plain.size()), c = static_cast<double>(clusters.size());
  const Estimate clustered =
      FromError(simple.mean, std::sqrt(sum * c / (c - 1)) / count, simple.n, AllWithinUnit(plain));
  return clustered.interval.half_width() > simple.interval.half_width() ? clustered : simple;
}

Estimate MacroEstimate(const std::vector<std::pair<std::string, double>>& values) {
  if (values.empty()) return {};
  const auto clusters = Group(values);
  const double c = static_cast<double>(clusters.size());
  double sum = 0, variance = 0;
  for (const auto& [name, members] : clusters) {
    const Estimate one = MeanEstimate(members);
    const double n = static_cast<double>(members.size());
    double squares = 0;
    for (const double value : members) squares += (value - one.mean) * (value - one.mean);
    sum += one.mean;
    variance += squares > 0 ? squares / (n - 1) / n : one.standard_error * one.standard_error;
  }
  return FromError(sum / c, std::sqrt(variance) / c, static_cast<std::int64_t>(values.size()),
                   AllWithinUnit(Values(values)));
}

Estimate MeanOfEstimates(const std::vector<Estimate>& estimates) {
  if (estimates.empty()) return {};
  double sum = 0, variance = 0;
  std::int64_t n = 0;
  bool unit = true;
  for (const Estimate& one : estimates) {
    sum += one.mean;
    variance += one.standard_error * one.standard_error;
    n += one.n;
    unit = unit && one.mean >= 0 && one.mean <= 1;
  }
  const double count = static_cast<double>(estimates.size());
  return FromError(sum / count, std::sqrt(variance) / count, n, unit);
}

Estimate PooledEstimate(const std::vector<std::pair<std::string, double>>& values) {
  const std::vector<double> plain = Values(values);
  const auto clusters = Group(values);
  if (clusters.size() == plain.size()) return MeanEstimate(plain);
  double squares = 0;  // (n_i - 1) s_i^2 n_i: of a cluster's values about its own mean
  for (const auto& [name, members] : clusters) {
    const double mean = Mean(members);
    for (const double value : members) squares += (value - mean) * (value - mean);
  }
  const double n = static_cast<double>(plain.size()), k = static_cast<double>(clusters.size());
  return FromError(Mean(plain), std::sqrt(squares / (n - k) / n),
                   static_cast<std::int64_t>(plain.size()), AllWithinUnit(plain));
}

double PassAtK(std::int64_t n, std::int64_t correct, std::int64_t k) {
  if (n - correct < k) return 1.0;
  double none = 1;
  for (std::int64_t i = n - correct + 1; i <= n; ++i)
    none *= 1 - static_cast<double>(k) / static_cast<double>(i);
  return 1 - none;
}

double Percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double place = std::clamp(share, 0.0, 1.0) * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(place);
  const auto high = std::min(low + 1, values.size() - 1);
  return values[low] + (values[high] - values[low]) * (place - static_cast<double>(low));
}

}  // namespace h1bench::reports

#include "reports/build/ranking.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace h1bench::reports {

namespace {

constexpr double kMuchSmaller = 2.0 / 3;

/// "; B bf16 is 4.2 points below with 30 % of its weights", of the best among those much smaller;
/// empty where there is none.
std::string Thrifty(const Report& report, const ReportVariant& best) {
  for (const std::size_t place : report.ranking) {
    const ReportVariant& other = report.variants[place];
    const double share =
        static_cast<double>(other.weight_bytes) / static_cast<double>(best.weight_bytes);
    if (!other.average || best.weight_bytes <= 0 || share > kMuchSmaller) continue;
    return fmt::format("; {} is {:.1f} points below with {:.0f} % of its weights", other.label(),
                       100 * (best.average->mean - other.average->mean), 100 * share);
  }
  return "";
}

}  // namespace

void AverageTasks(ReportVariant& variant) {
  double sum = 0, variance = 0;
  std::int64_t scored = 0;
  bool all = !variant.cells.empty();
  for (const Cell& cell : variant.cells) {
    all = all && cell.complete;
    sum += cell.primary.mean;
    const double error = cell.primary.standard_error;
    variance += error * error;
    scored += cell.scored;
  }
  if (!all) return;
  const double count = static_cast<double>(variant.cells.size()), mean = sum / count,
               half = kZ95 * std::sqrt(variance) / count;
  variant.average =
      Estimate{mean, {std::max(0.0, mean - half), std::min(1.0, mean + half)}, scored};
}

void Rank(Report& report) {
  report.ranking.resize(report.variants.size());
  std::iota(report.ranking.begin(), report.ranking.end(), 0);
  std::stable_sort(report.ranking.begin(), report.ranking.end(), [&](std::size_t a, std::size_t b) {
    const auto& x = report.variants[a].average;
    const auto& y = report.variants[b].average;
    if (x.has_value() != y.has_value()) return x.has_value();
    return x && x->mean > y->mean;
  });
  if (report.ranking.empty() || !report.variants[report.ranking[0]].average) {
    report.answer = "The run is not complete: no model has a score on every task yet.";
    return;
  }
  const ReportVariant& best = report.variants[report.ranking[0]];
  std::vector<std::string> level;
  for (std::size_t place = 1; place < report.ranking.size(); ++place) {
    const ReportVariant& other = report.variants[report.ranking[place]];
    if (other.average && other.average->interval.high >= best.average->interval.low)
      level.push_back(other.label());
  }
  const std::string rank =
      report.variants.size() == 1 ? "" : fmt::format(" highest of {}:", report.variants.size());
  report.answer = fmt::format(
      "{} scores{} {:.1f} % on average over {} task{} (95 % interval {:.1f} to {:.1f} %){}{}.",
      best.label(), rank, best.average->mean * 100, report.tasks.size(),
      report.tasks.size() == 1 ? "" : "s", best.average->interval.low * 100,
      best.average->interval.high * 100,
      level.empty() ? "" : fmt::format("; within its interval: {}", fmt::join(level, ", ")),
      Thrifty(report, best));
}

}  // namespace h1bench::reports

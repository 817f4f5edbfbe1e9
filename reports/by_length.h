#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "reports/statistics/interval.h"

namespace h1bench::reports {

/// One context length: the mean over its tasks, or nothing when the model was not asked.
struct LengthScore {
  std::int64_t length = 0;
  std::optional<Estimate> score;
};

/// One category's means over its tasks, by length.
struct CategoryScores {
  std::string name;
  std::vector<LengthScore> lengths;
};

/// What RULER says of a model (Hsieh et al., arXiv 2404.06654): scores by length and what they come
/// to. The weighted means over lengths are there when every length is. With categories (HELMET, Yen
/// et al., arXiv 2410.02694) a length's score is the mean over categories of the mean over their
/// tasks.
struct ByLength {
  std::vector<LengthScore> lengths;        // ascending
  std::vector<CategoryScores> categories;  // in the task's order
  Estimate mean;                           // over the lengths that were asked
  std::optional<double> threshold;         // share; what "effective" asks for
  std::optional<std::int64_t> effective;   // longest length at or above the threshold
  std::optional<double> increasing,
      decreasing;  // wAvg: weights 1..n from the shortest, the longest
  bool empty() const { return lengths.empty(); }
};

/// `describe` has {"by_length": {"lengths": [..], "threshold": percent, "categories": {name:
/// [task..]}}}, either of the last two or both; `values` are (subset,
/// score) with subsets "LENGTH/TASK". Empty when the task is not of that kind.
ByLength SummariseLengths(const Json& describe,
                          const std::vector<std::pair<std::string, double>>& values);

/// Lengths that a task was to fill and that are beyond `max_length` tokens, ascending.
std::vector<std::int64_t> LengthsBeyond(const Json& describe, std::int64_t max_length);

}  // namespace h1bench::reports

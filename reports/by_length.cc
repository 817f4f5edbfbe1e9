#include "reports/by_length.h"

#include <algorithm>

namespace h1bench::reports {
namespace {

std::vector<std::int64_t> Lengths(const Json& describe, const char* key) {
  std::vector<std::int64_t> lengths;
  const Json* part = describe.Find(key);
  const Json* list = part != nullptr ? part->Find("lengths") : nullptr;
  for (const Json& item : list != nullptr && list->is_array() ? list->as_array() : Json::Array{}) {
    if (item.is_integer()) lengths.push_back(item.as_int());
  }
  std::sort(lengths.begin(), lengths.end());
  return lengths;
}

/// Weights 1, 2 .. n in the order given.
double LinearAverage(const std::vector<double>& scores) {
  double sum = 0, weights = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    sum += static_cast<double>(i + 1) * scores[i];
    weights += static_cast<double>(i + 1);
  }
  return sum / weights;
}

}  // namespace

ByLength SummariseLengths(const Json& describe,
                          const std::vector<std::pair<std::string, double>>& values) {
  ByLength out;
  const Json* part = describe.Find("by_length");
  if (part == nullptr) return out;
  if (const Json* threshold = part->Find("threshold"); threshold && threshold->is_number())
    out.threshold = threshold->as_double() / 100;
  std::vector<double> scores;
  for (const std::int64_t length : Lengths(describe, "by_length")) {
    const std::string prefix = std::to_string(length) + "/";
    std::vector<std::pair<std::string, double>> inside;
    for (const auto& value : values) {
      if (value.first.rfind(prefix, 0) == 0) inside.push_back(value);
    }
    out.lengths.push_back({length, std::nullopt});
    if (inside.empty()) continue;
    out.lengths.back().score = MacroEstimate(inside);
    scores.push_back(out.lengths.back().score->mean);
    if (scores.back() >= out.threshold) out.effective = length;
  }
  if (scores.empty() || scores.size() != out.lengths.size()) return out;
  out.increasing = LinearAverage(scores);
  std::reverse(scores.begin(), scores.end());
  out.decreasing = LinearAverage(scores);
  return out;
}

std::vector<std::int64_t> LengthsBeyond(const Json& describe, std::int64_t max_length) {
  std::vector<std::int64_t> beyond;
  for (const char* key : {"by_length", "grid"}) {
    for (const std::int64_t length : Lengths(describe, key)) {
      if (length > max_length) beyond.push_back(length);
    }
  }
  return beyond;
}

}  // namespace h1bench::reports

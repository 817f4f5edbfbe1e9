#include "reports/by_length.h"

#include <algorithm>
#include <iterator>

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

using Labelled = std::vector<std::pair<std::string, double>>;

/// The mean over the tasks of one length, or over those of them that a category has.
std::optional<Estimate> MeanOfTasks(const Labelled& values, std::int64_t length,
                                    const Json* category) {
  const std::string prefix = std::to_string(length) + "/";
  const auto counts = [&](const std::string& subset) {
    if (!subset.starts_with(prefix)) return false;
    if (category == nullptr || !category->is_array()) return category == nullptr;
    return std::any_of(
        category->as_array().begin(), category->as_array().end(),
        [&](const Json& task) { return task == Json(subset.substr(prefix.size())); });
  };
  Labelled inside;
  std::copy_if(values.begin(), values.end(), std::back_inserter(inside),
               [&](const auto& value) { return counts(value.first); });
  if (inside.empty()) return std::nullopt;
  return MacroEstimate(inside);
}

}  // namespace

ByLength SummariseLengths(const Json& describe, const Labelled& values) {
  ByLength out;
  const Json* part = describe.Find("by_length");
  if (part == nullptr) return out;
  if (const Json* threshold = part->Find("threshold"); threshold && threshold->is_number())
    out.threshold = threshold->as_double() / 100;
  const Json* categories = part->Find("categories");
  const Json::Object groups =
      categories != nullptr && categories->is_object() ? categories->as_object() : Json::Object{};
  for (const auto& [name, tasks] : groups) out.categories.push_back({name, {}});
  std::vector<double> scores;
  std::vector<Estimate> asked;
  for (const std::int64_t length : Lengths(describe, "by_length")) {
    std::vector<Estimate> parts;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      out.categories[i].lengths.push_back({length, MeanOfTasks(values, length, &groups[i].second)});
      if (const auto& score = out.categories[i].lengths.back().score) parts.push_back(*score);
    }
    out.lengths.push_back({length, MeanOfTasks(values, length, nullptr)});
    std::optional<Estimate>& score = out.lengths.back().score;
    if (!groups.empty()) score.reset();
    if (!parts.empty() && parts.size() == groups.size()) score = MeanOfEstimates(parts);
    if (!score) continue;
    asked.push_back(*score);
    scores.push_back(score->mean);
    if (out.threshold && scores.back() >= *out.threshold) out.effective = length;
  }
  out.mean = MeanOfEstimates(asked);
  if (!out.threshold || scores.empty() || scores.size() != out.lengths.size()) return out;
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

#include "reports/build/cell.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "reports/build/json_members.h"

namespace h1bench::reports {
namespace {

using Labelled = std::vector<std::pair<std::string, double>>;

std::vector<NamedEstimate> BySubset(const Labelled& values) {
  std::map<std::string, std::vector<double>> subsets;
  for (const auto& [subset, value] : values) subsets[subset].push_back(value);
  std::vector<NamedEstimate> estimates;
  for (const auto& [subset, members] : subsets)
    estimates.push_back({subset, MeanEstimate(members)});
  return estimates;
}

std::vector<NamedEstimate> ByGroup(const Json& describe, const Labelled& values) {
  std::vector<NamedEstimate> estimates;
  const Json* groups = describe.Find("groups");
  if (groups == nullptr || !groups->is_object()) return estimates;
  for (const auto& [group, members] : groups->as_object()) {
    std::set<std::string> names;
    for (const Json& name : members.is_array() ? members.as_array() : Json::Array{}) {
      if (name.is_string()) names.insert(name.as_string());
    }
    Labelled inside;
    for (const auto& item : values) {
      if (names.count(item.first) != 0) inside.push_back(item);
    }
    if (!inside.empty()) estimates.push_back({group, ClusteredEstimate(inside)});
  }
  return estimates;
}

/// niah: subsets are "length/depth".
std::vector<GridCell> Grid(const Json& describe, const std::vector<NamedEstimate>& subsets) {
  std::vector<GridCell> grid;
  if (describe.Find("grid") == nullptr) return grid;
  for (const NamedEstimate& subset : subsets) {
    const std::size_t slash = subset.name.find('/');
    if (slash == std::string::npos) continue;
    GridCell cell;
    cell.estimate = subset.estimate;
    const char* const begin = subset.name.data();
    std::from_chars(begin, begin + slash, cell.length);
    std::from_chars(begin + slash + 1, begin + subset.name.size(), cell.depth);
    grid.push_back(cell);
  }
  std::sort(grid.begin(), grid.end(), [](const GridCell& a, const GridCell& b) {
    return std::pair(a.length, a.depth) < std::pair(b.length, b.depth);
  });
  return grid;
}

}  // namespace

void CellCollector::Add(const SampleRow& sample, const ResponseRow* response, const ScoreRow* score,
                        bool poisoned) {
  ++cell_.samples;
  if (poisoned) ++cell_.poisoned;
  if (response != nullptr) {
    CountResponse(sample, *response);
    CountBos(*response);
  }
  const bool failed = poisoned || (response != nullptr && !response->error.empty());
  if (score != nullptr) {
    CountScore(sample, *score);
    for (const auto& [metric, value] : score->scores) {
      if (timing_ && sample.attempts > 0 && metric == task_.primary) cell_.computed_score += value;
    }
  } else if (failed) {
    CountScore(sample, Wrong());
  }
}

void CellCollector::CountResponse(const SampleRow& sample, const ResponseRow& response) {
  cell_.prompt_tokens += response.prompt_tokens;
  cell_.generated_tokens += response.generated_tokens;
  cell_.errors += response.error.empty() ? 0 : 1;
  cell_.truncated += response.truncated_tokens > 0 ? 1 : 0;
  cell_.empty +=
      task_.kind == "generate_until" && response.error.empty() && response.text.empty() ? 1 : 0;
  cell_.at_limit += response.finish == "length" ? 1 : 0;
  if (!timing_) return;
  if (sample.attempts == 0) {
    ++cell_.looked_up;
    return;
  }
  ++cell_.computed;
  cell_.reused_tokens += response.reused_tokens;
  cell_.computed_tokens += response.prompt_tokens + response.generated_tokens;
}

void CellCollector::CountBos(const ResponseRow& response) {
  const auto& ids = response.first_ids;
  if (!bos_id_ || ids.empty()) return;
  const bool first = ids[0] == *bos_id_;
  cell_.double_bos += first && ids.size() > 1 && ids[1] == *bos_id_ ? 1 : 0;
  cell_.missing_bos += task_.wants_bos && !first ? 1 : 0;
}

ScoreRow CellCollector::Wrong() const {
  ScoreRow score;
  for (const std::string& metric : TextsMember(task_.describe, "metrics"))
    score.scores.emplace_back(metric, 0.0);
  return score;
}

void CellCollector::CountScore(const SampleRow& sample, const ScoreRow& score) {
  ++cell_.scored;
  if (!score.verdict.empty()) ++verdicts_[score.verdict];
  cell_.invalid += score.extracted.find("[invalid]") != std::string::npos ? 1 : 0;
  // Variants of one question (its documents in another order) are one observation, as repeats.
  std::int64_t index = sample.index;
  if (!sample.document_id.empty())
    index = first_.try_emplace({sample.subset, sample.document_id}, index).first->second;
  for (const auto& [metric, value] : score.scores) {
    Repeats& repeats = metrics_[metric][{sample.subset, index}];
    repeats.sum += value;
    ++repeats.n;
    repeats.passed += value == 1.0 ? 1 : 0;
  }
}

CellCollector::Labelled CellCollector::Values(const std::string& metric) const {
  Labelled values;
  const auto found = metrics_.find(metric);
  if (found == metrics_.end()) return values;
  for (const auto& [document, repeats] : found->second)
    values.emplace_back(document.first, repeats.mean());
  return values;
}

void CellCollector::NoteLimit(std::int64_t max_length) {
  const std::int64_t new_tokens = IntegerMember(task_.describe, "max_new_tokens");
  if (cell_.samples == 0 && new_tokens >= max_length) {
    cell_.missing_reason = fmt::format("answers of up to {} tokens are beyond its limit of {}",
                                       new_tokens, max_length);
    return;
  }
  const std::vector<std::int64_t> beyond = LengthsBeyond(task_.describe, max_length);
  if (beyond.empty()) return;
  const std::string reason =
      fmt::format("{} tokens are beyond its limit of {}", fmt::join(beyond, ", "), max_length);
  cell_.complete = false;
  (cell_.samples == 0 ? cell_.missing_reason : cell_.partly_missing) = reason;
}

void CellCollector::AddPassAtK() {
  const auto documents = metrics_.find(task_.primary);
  if (task_.describe.Find("code") == nullptr || documents == metrics_.end()) return;
  std::int64_t repeats = 0;
  for (const auto& [document, counts] : documents->second)
    repeats = repeats == 0 ? counts.n : std::min(repeats, counts.n);
  for (std::int64_t k = 2; k <= repeats; k *= 2) {
    std::vector<double> values;
    for (const auto& [document, counts] : documents->second)
      values.push_back(PassAtK(counts.n, counts.passed, k));
    cell_.metrics.push_back({fmt::format("pass@{}", k), MeanEstimate(values)});
  }
}

/// Over all documents, with the error that the task's headline asks for.
Estimate CellCollector::Micro(const Labelled& values) const {
  return task_.headline == "lm-eval" ? PooledEstimate(values) : ClusteredEstimate(values);
}

void CellCollector::Estimates() {
  const Labelled primary = Values(task_.primary);
  cell_.subsets = BySubset(primary);
  if (cell_.subsets.size() > 1) cell_.macro = MacroEstimate(primary);
  cell_.by_length = SummariseLengths(task_.describe, primary);
  cell_.primary = task_.headline == "categories"             ? cell_.by_length.mean
                  : task_.headline == "macro" && cell_.macro ? *cell_.macro
                                                             : Micro(primary);
  cell_.groups = ByGroup(task_.describe, primary);
  cell_.grid = Grid(task_.describe, cell_.subsets);
  for (const std::string& metric : TextsMember(task_.describe, "metrics")) {
    const Labelled values = Values(metric);
    if (!values.empty()) cell_.metrics.push_back({metric, Micro(values)});
  }
  AddPassAtK();
}

Cell CellCollector::Finish(std::int64_t max_length) {
  cell_.verdicts.assign(verdicts_.begin(), verdicts_.end());
  cell_.complete = cell_.samples > 0 && cell_.scored == cell_.samples;
  if (cell_.samples == 0) cell_.missing_reason = "no samples planned";
  if (cell_.samples > 0 && cell_.scored == 0) cell_.missing_reason = "not run yet";
  NoteLimit(max_length);
  if (cell_.scored > 0) Estimates();
  return std::move(cell_);
}

}  // namespace h1bench::reports

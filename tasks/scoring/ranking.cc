#include "tasks/scoring/ranking.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/text.h"
#include "tasks/scoring/answers.h"
#include "tasks/scoring/regex.h"
#include "tasks/scoring/text_match.h"

namespace h1bench::tasks {

Result<std::vector<std::string>> ParseRanking(std::string_view response) {
  static const Regex kRun = Regex::Constant("(*UCP)\\d+(?:\\s*>\\s*\\d+)*+");
  std::string text(response);
  std::erase_if(text, [](char c) { return c == '[' || c == ']' || c == ':'; });
  text = ReplaceAll(Lower(text), "id", "");
  H1_ASSIGN_OR_RETURN(const std::vector<Regex::Match> runs, kRun.FindAll(text));
  std::string_view longest;
  for (const Regex::Match& run : runs) {
    const std::string_view found = std::string_view(text).substr(run.begin, run.end - run.begin);
    if (CountCodePoints(found) > CountCodePoints(longest)) longest = found;
  }
  std::vector<std::string> ids;
  std::set<std::string> known;
  while (!longest.empty()) {
    const std::size_t end = std::min(longest.find('>'), longest.size());
    std::string id = Strip(longest.substr(0, end));
    longest.remove_prefix(std::min(end + 1, longest.size()));
    if (!id.empty() && known.insert(id).second) ids.push_back(std::move(id));
  }
  return ids;
}

double Ndcg(const std::vector<std::string>& ranking, const std::map<std::string, int>& relevance,
            std::size_t depth) {
  std::vector<int> best;
  for (const auto& [id, gain] : relevance) best.push_back(gain);
  std::sort(best.rbegin(), best.rend());
  double ideal = 0, found = 0;
  for (std::size_t i = 0; i < depth; ++i) {
    const double discount = std::log2(static_cast<double>(i) + 2);
    if (i < best.size()) ideal += std::max(0, best[i]) / discount;
    const auto known = i < ranking.size() ? relevance.find(ranking[i]) : relevance.end();
    if (known != relevance.end()) found += std::max(0, known->second) / discount;
  }
  return ideal > 0 ? found / ideal : 0;
}

}  // namespace h1bench::tasks

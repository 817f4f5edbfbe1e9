#include "tasks/helmet/scoring.h"

#include <fmt/format.h>

#include <algorithm>

#include "tasks/scoring/answers.h"
#include "tasks/scoring/ranking.h"
#include "tasks/scoring/rouge.h"
#include "tasks/scoring/text_match.h"

namespace h1bench::tasks::helmet {
namespace {

constexpr std::size_t kDepth = 10;  // NDCG@10

/// Where `what` (ASCII) begins, whatever its case.
std::size_t FindIgnoringCase(std::string_view text, std::string_view what) {
  const auto small = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  const auto found = std::search(text.begin(), text.end(), what.begin(), what.end(),
                                 [&](char a, char b) { return small(a) == small(b); });
  return found == text.end() ? std::string_view::npos
                             : static_cast<std::size_t>(found - text.begin());
}

std::string Normal(std::string_view text) { return Normalise(text, kIgnoreAsSquad); }

/// An answer that normalisation leaves empty ("The", "A") stands in everything: upstream's rule.
double Substring(const std::string& output, const std::vector<std::string>& answers) {
  const std::string normal = Normal(output);
  return std::any_of(answers.begin(), answers.end(), [&](const std::string& answer) {
    return normal.find(Normal(answer)) != std::string::npos;
  });
}

double Exact(const std::string& output, const std::vector<std::string>& answers) {
  const std::string normal = Normal(output);
  return std::any_of(answers.begin(), answers.end(),
                     [&](const std::string& answer) { return normal == Normal(answer); });
}

double Recall(const std::string& output, const std::vector<std::string>& answers) {
  const std::string lower = Lower(output);
  const auto found = std::count_if(answers.begin(), answers.end(), [&](const std::string& answer) {
    return lower.find(Lower(answer)) != std::string::npos;
  });
  return static_cast<double>(found) / static_cast<double>(answers.size());
}

double Rouge(const std::string& output, const std::vector<std::string>& answers) {
  double best = 0;
  for (const std::string& answer : answers) best = std::max(best, RougeL(output, answer));
  return best;
}

/// To five digits, as Python's round does: upstream rounds every query's.
double RoundedNdcg(const std::vector<std::string>& ranking, const Item& item) {
  return std::stod(fmt::format("{:.5f}", Ndcg(ranking, item.relevance, kDepth)));
}

}  // namespace

std::string ParseOutput(std::string_view output, std::string_view started) {
  const std::size_t found = FindIgnoringCase(output, started);
  std::string_view line =
      found == std::string_view::npos ? output : output.substr(found + started.size());
  std::string answer = Strip(line.substr(0, line.find('\n')));
  if (FindIgnoringCase(answer, started) == 0) answer = Strip(answer.substr(started.size()));
  return answer;
}

Result<Verdict> ScoreOutput(const Dataset& dataset, const Item& item, const std::string& output) {
  Verdict verdict;
  // RULER's starts of answers are never searched for, and re-ranking parses in its own way.
  verdict.parsed = ParseOutput(output, dataset.started);
  const std::string& parsed = verdict.parsed;
  switch (dataset.metric) {
    case Metric::kSubstring:
      verdict.score = std::max(Substring(output, item.answers), Substring(parsed, item.answers));
      break;
    case Metric::kRecall:
      verdict.parsed = output;
      verdict.score = Recall(output, item.answers);
      break;
    case Metric::kExact:
      verdict.score = Exact(parsed, item.answers);
      break;
    case Metric::kNdcg: {
      H1_ASSIGN_OR_RETURN(const std::vector<std::string> ranking, ParseRanking(output));
      verdict.parsed = fmt::format("{}", fmt::join(ranking, " > "));
      verdict.score = RoundedNdcg(ranking, item);
      break;
    }
    case Metric::kRougeL:
      verdict.score = std::max(Rouge(output, item.answers), Rouge(parsed, item.answers));
      break;
    case Metric::kChoice: {
      const bool whole = Lower(output).find(Lower(item.answers[1])) != std::string::npos;
      verdict.score =
          whole ? 1 : std::max(Exact(output, item.answers), Exact(parsed, item.answers));
      break;
    }
  }
  return verdict;
}

}  // namespace h1bench::tasks::helmet

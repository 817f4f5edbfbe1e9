#include "tasks/scoring/rouge.h"

#include <algorithm>
#include <string>
#include <vector>

#include "tasks/scoring/porter.h"
#include "tasks/scoring/text_match.h"

namespace h1bench::tasks {
namespace {

constexpr std::size_t kMostWords = 4096;

std::vector<std::string> StemmedWords(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (!word.empty() && words.size() < kMostWords)
      words.push_back(word.size() > 3 ? PorterStem(word) : word);
    word.clear();
  };
  for (const char c : Lower(text)) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      word += c;
    } else {
      finish();
    }
  }
  finish();
  return words;
}

std::size_t CommonSubsequence(const std::vector<std::string>& a,
                              const std::vector<std::string>& b) {
  std::vector<std::size_t> row(b.size() + 1, 0);
  for (const std::string& word : a) {
    std::size_t diagonal = 0;  // of the row above
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = word == b[j - 1] ? diagonal + 1 : std::max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

double RougeL(std::string_view prediction, std::string_view target) {
  const std::vector<std::string> said = StemmedWords(prediction), right = StemmedWords(target);
  if (said.empty() || right.empty()) return 0;
  const double common = static_cast<double>(CommonSubsequence(said, right));
  const double precision = common / static_cast<double>(said.size()),
               recall = common / static_cast<double>(right.size());
  return common == 0 ? 0 : 2 * precision * recall / (precision + recall);
}

}  // namespace h1bench::tasks

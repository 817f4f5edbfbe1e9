#include "tasks/scoring/text_match.h"

#include <utf8proc.h>

#include <map>

#include "base/text.h"
#include "tasks/scoring/regex.h"

namespace h1bench::tasks {
namespace {

bool IsPunctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

}  // namespace

std::string Lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto point = static_cast<utf8proc_int32_t>(NextCodePoint(text, i));
    AppendUtf8(out, static_cast<std::uint32_t>(utf8proc_tolower(point)));
  }
  return out;
}

std::vector<std::string> Words(std::string_view text) {
  static const Regex kSpaces = Regex::Constant("[\\x{1c}-\\x{1f}\\x{85}\\p{Z}\\s]+");
  std::vector<std::string> words;
  std::size_t from = 0;
  const auto gaps = kSpaces.FindAll(text);
  if (gaps.ok()) {
    for (const Regex::Match& gap : *gaps) {
      if (gap.begin > from) words.emplace_back(text.substr(from, gap.begin - from));
      from = gap.end;
    }
  }
  if (from < text.size()) words.emplace_back(text.substr(from));
  return words;
}

std::string Normalise(std::string_view text, const Ignore& ignore) {
  static const Regex kArticles = Regex::Constant("(*UCP)\\b(a|an|the)\\b");
  std::string out = ignore.case_ ? Lower(text) : std::string(text);
  if (ignore.punctuation) std::erase_if(out, IsPunctuation);
  if (ignore.articles) {
    auto without = kArticles.ReplaceAll(out, " ");
    if (without.ok()) out = std::move(*without);
  }
  if (!ignore.whitespace) return out;
  std::string joined;
  for (const std::string& word : Words(out)) joined += (joined.empty() ? "" : " ") + word;
  return joined;
}

double ExactMatch(const std::string& prediction, const std::string& gold) {
  return prediction == gold ? 1 : 0;
}

double Contains(const std::string& prediction, const std::string& gold) {
  return !gold.empty() && prediction.find(gold) != std::string::npos ? 1 : 0;
}

double WordF1(const std::string& prediction, const std::string& gold) {
  const std::vector<std::string> said = Words(prediction), right = Words(gold);
  if (said.empty() || right.empty()) return said.empty() && right.empty() ? 1 : 0;
  std::map<std::string, std::size_t> left;
  for (const std::string& word : right) ++left[word];
  std::size_t same = 0;
  for (const std::string& word : said) {
    const auto found = left.find(word);
    if (found == left.end() || found->second == 0) continue;
    --found->second;
    ++same;
  }
  if (same == 0) return 0;
  const double precision = static_cast<double>(same) / static_cast<double>(said.size());
  const double recall = static_cast<double>(same) / static_cast<double>(right.size());
  return 2 * precision * recall / (precision + recall);
}

}  // namespace h1bench::tasks

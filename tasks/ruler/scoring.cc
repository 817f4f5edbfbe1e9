#include "tasks/ruler/scoring.h"

#include <algorithm>

#include "tasks/scoring/text_match.h"

namespace h1bench::tasks::ruler {
namespace {

std::string_view Strip(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n\v\f\r\x1c\x1d\x1e\x1f";
  const std::size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

}  // namespace

std::string CleanResponse(std::string_view response) {
  std::string text(Strip(response));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 32; }, '\n');
  return std::string(Strip(text));
}

std::size_t CountFound(std::string_view text, const std::vector<std::string>& answers) {
  const std::string lower = Lower(text);
  return static_cast<std::size_t>(std::count_if(
      answers.begin(), answers.end(),
      [&](const std::string& answer) { return lower.find(Lower(answer)) != std::string::npos; }));
}

}  // namespace h1bench::tasks::ruler

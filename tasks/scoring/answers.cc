#include "tasks/scoring/answers.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace h1bench::tasks {
namespace {

/// Code points for which Python's str.isspace() is true.
bool IsPythonSpace(std::uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

/// With a mark of its own when the work limit was hit.
std::string Extract(const Regex& regex, std::string_view response, bool last) {
  auto found = ExtractMatch(regex, response, last);
  return found.ok() ? std::move(*found) : std::string(kRegexLimit);
}

std::string Normalise(std::string_view text) {
  static const Regex kComma = Regex::Constant(","), kDollar = Regex::Constant("\\$"),
                     kBefore = Regex::Constant("(?s).*#### "), kDot = Regex::Constant("\\.$");
  std::string out(text);
  for (const Regex* regex : {&kComma, &kDollar, &kBefore, &kDot}) {
    auto replaced = regex->ReplaceAll(out, "");
    if (replaced.ok()) out = std::move(*replaced);
  }
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

/// A decimal number without leading and final zeros ("-18", "0.5"); nothing when it is none.
std::optional<std::string> CanonicalNumber(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const std::size_t dot = text.find('.');
  std::string_view whole = text.substr(0, dot);
  std::string_view part = dot == std::string_view::npos ? "" : text.substr(dot + 1);
  if (dot == std::string_view::npos ? whole.empty() : part.empty()) return std::nullopt;
  for (const std::string_view digits : {whole, part}) {
    if (digits.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  }
  while (whole.starts_with('0')) whole.remove_prefix(1);
  while (part.ends_with('0')) part.remove_suffix(1);
  std::string number = whole.empty() ? "0" : std::string(whole);
  if (!part.empty()) number.append(".").append(part);
  return negative && number != "0" ? "-" + number : number;
}

}  // namespace

std::string Strip(std::string_view text) {
  std::size_t begin = 0;
  while (begin < text.size()) {
    std::size_t next = begin;
    if (!IsPythonSpace(NextCodePoint(text, next))) break;
    begin = next;
  }
  std::size_t end = text.size();
  while (end > begin) {
    std::size_t start = end - 1;
    while (start > begin && (static_cast<unsigned char>(text[start]) & 0xc0U) == 0x80U) --start;
    std::size_t next = start;
    if (!IsPythonSpace(NextCodePoint(text, next))) break;
    end = start;
  }
  return std::string(text.substr(begin, end - begin));
}

Result<std::string> ExtractMatch(const Regex& regex, std::string_view text, bool last) {
  H1_ASSIGN_OR_RETURN(const std::vector<Regex::Match> matches,
                      regex.FindAll(text, last ? static_cast<std::size_t>(-1) : 1));
  if (matches.empty()) return std::string(kInvalid);
  const Regex::Match& match = last ? matches.back() : matches.front();
  if (match.groups.empty()) return Strip(text.substr(match.begin, match.end - match.begin));
  for (const auto& group : match.groups) {
    if (group && !group->empty()) return Strip(*group);
  }
  return std::string(kInvalid);
}

std::string Gsm8kStrict(std::string_view response) {
  static const Regex kRegex = Regex::Constant("#### (\\-?[0-9\\.\\,]+)");
  return Extract(kRegex, response, false);
}

std::string Gsm8kCotStrict(std::string_view response, CotDot dot) {
  static const std::string kNumber = "The answer is (\\-?[0-9\\.\\,]+)";
  static const Regex kAny = Regex::Constant(kNumber + "."), kDot = Regex::Constant(kNumber + "\\."),
                     kNone = Regex::Constant(kNumber);
  return Extract(dot == CotDot::kAny ? kAny : dot == CotDot::kDot ? kDot : kNone, response, false);
}

std::string FlexibleExtract(std::string_view response) {
  static const Regex kRegex = Regex::Constant("(-?[$0-9.,]{2,})|(-?[0-9]+)");
  return Extract(kRegex, response, true);
}

bool Gsm8kExactMatch(std::string_view prediction, std::string_view gold) {
  return Normalise(prediction) == Normalise(gold);
}

bool Gsm8kSameNumber(std::string_view prediction, std::string_view gold) {
  const std::optional<std::string> number = CanonicalNumber(Normalise(prediction));
  return number && number == CanonicalNumber(Normalise(gold));
}

}  // namespace h1bench::tasks

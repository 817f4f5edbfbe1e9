#include "runner/tokenizer/split.h"

#include <algorithm>

#include "base/text.h"

namespace h1bench::tokenizer {
namespace {

void Push(Span span, std::size_t offset, std::vector<Span>& spans) {
  if (span.begin < span.end) spans.push_back({span.begin + offset, span.end + offset});
}

/// Runs of parts that `joins(previous is a match, this is a match)` holds for become one piece.
template <typename Joins>
void JoinRuns(const std::vector<Part>& parts, std::size_t offset, std::vector<Span>& spans,
              Joins joins) {
  Span open;
  bool previous = false;
  for (const Part& part : parts) {
    if (joins(previous, part.is_match)) {
      open.end = part.span.end;
    } else {
      Push(open, offset, spans);
      open = part.span;
    }
    previous = part.is_match;
  }
  Push(open, offset, spans);
}

/// A match joins the part behind it unless that is a match too. Decided from the right, as the
/// upstream library does: of several matches in a row the last joins.
void MergeWithNext(const std::vector<Part>& parts, std::size_t offset, std::vector<Span>& spans) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Span span = parts[i].span;
    if (parts[i].is_match && i + 1 < parts.size() && !parts[i + 1].is_match)
      span.end = parts[++i].span.end;
    Push(span, offset, spans);
  }
}

}  // namespace

Result<SplitBehavior> ReadBehavior(const Node& node, SplitBehavior when_absent) {
  if (node.Optional("behavior").is_null()) return when_absent;
  static const std::vector<std::string> kNames = {"Removed", "Isolated", "MergedWithPrevious",
                                                  "MergedWithNext", "Contiguous"};
  H1_ASSIGN_OR_RETURN(const std::string name, node.String("behavior"));
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end())
    return node.Optional("behavior")
        .UnsupportedHere("unknown behavior " + QuoteJson(VisibleText(name.substr(0, 80))) +
                         "; known: Removed Isolated MergedWithPrevious MergedWithNext Contiguous");
  return static_cast<SplitBehavior>(found - kNames.begin());
}

Result<Regex> ReadPattern(const Node& node) {
  H1_ASSIGN_OR_RETURN(const Node pattern, node.Member("pattern"));
  if (!pattern.json().is_object() || pattern.json().as_object().size() != 1 ||
      !pattern.json().as_object()[0].second.is_string())
    return pattern.CorruptHere(R"(expected {"String": "..."} or {"Regex": "..."})");
  const auto& [kind, text] = pattern.json().as_object()[0];
  if (kind != "String" && kind != "Regex")
    return pattern.UnsupportedHere("unknown pattern " + QuoteJson(VisibleText(kind.substr(0, 80))) +
                                   "; known: String Regex");
  Result<Regex> regex =
      kind == "String" ? Regex::Literal(text.as_string()) : Regex::Compile(text.as_string());
  if (!regex.ok()) return regex.status().WithContext(pattern.path() + "." + kind);
  return regex;
}

bool AppendMatches(const Regex& regex, std::string_view text, std::vector<Part>& parts) {
  std::size_t rest = 0;
  const bool complete = regex.FindAll(text, [&](std::size_t begin, std::size_t end) {
    if (begin != rest) parts.push_back({{rest, begin}, false});
    parts.push_back({{begin, end}, true});
    rest = end;
  });
  if (rest != text.size()) parts.push_back({{rest, text.size()}, false});
  return complete;
}

void AppendMatches(bool (*predicate)(std::uint32_t), std::string_view text,
                   std::vector<Part>& parts) {
  std::size_t rest = 0;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t begin = i;
    if (!predicate(NextCodePoint(text, i))) continue;
    if (begin != rest) parts.push_back({{rest, begin}, false});
    parts.push_back({{begin, i}, true});
    rest = i;
  }
  if (rest != text.size()) parts.push_back({{rest, text.size()}, false});
}

void ApplyBehavior(const std::vector<Part>& parts, SplitBehavior behavior, std::size_t offset,
                   std::vector<Span>& spans) {
  switch (behavior) {
    case SplitBehavior::kRemoved:
    case SplitBehavior::kIsolated:
      for (const Part& part : parts)
        if (behavior == SplitBehavior::kIsolated || !part.is_match) Push(part.span, offset, spans);
      return;
    case SplitBehavior::kMergedWithPrevious:
      return JoinRuns(parts, offset, spans,
                      [](bool previous, bool now) { return now && !previous; });
    case SplitBehavior::kContiguous:
      return JoinRuns(parts, offset, spans,
                      [](bool previous, bool now) { return now == previous; });
    case SplitBehavior::kMergedWithNext:
      return MergeWithNext(parts, offset, spans);
  }
}

}  // namespace h1bench::tokenizer

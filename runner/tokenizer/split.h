#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runner/tokenizer/node.h"
#include "runner/tokenizer/regex.h"

namespace h1bench::tokenizer {

/// A half-open range of bytes.
struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool operator==(const Span&) const = default;
};

/// A part of a text that a pattern matched or left over; they cover the text from left to right.
struct Part {
  Span span;
  bool is_match = false;
};

/// What becomes of the matches when a text is split by them.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// Member "behavior" of `node`; `when_absent` unless it is there.
Result<SplitBehavior> ReadBehavior(const Node& node, SplitBehavior when_absent);

/// Member "pattern": {"String": ...} or {"Regex": ...}.
Result<Regex> ReadPattern(const Node& node);

/// Appends to `parts` where `regex` matches in `text` and what lies between. False when the regex
/// hit a limit.
bool AppendMatches(const Regex& regex, std::string_view text, std::vector<Part>& parts);
/// The same for single code points that `predicate` accepts, each a match of its own.
void AppendMatches(bool (*predicate)(std::uint32_t), std::string_view text,
                   std::vector<Part>& parts);

/// The pieces that `behavior` makes of `parts`, empty ones left out, moved by `offset`, appended to
/// `spans`.
void ApplyBehavior(const std::vector<Part>& parts, SplitBehavior behavior, std::size_t offset,
                   std::vector<Span>& spans);

}  // namespace h1bench::tokenizer

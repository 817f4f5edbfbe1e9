#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Small things about text that several rooms need. All functions are pure.
namespace h1bench {

/// Number of Unicode code points of valid UTF-8 (invalid bytes count one each).
std::size_t CountCodePoints(std::string_view utf8);
bool IsValidUtf8(std::string_view bytes);
/// Invalid sequences replaced by U+FFFD, one per maximal ill-formed part, as Python's
/// errors="replace" does.
std::string ReplaceInvalidUtf8(std::string_view bytes);
/// Decodes the code point at `position` and moves past it; an invalid byte gives 0xFFFD and moves
/// by one.
std::uint32_t NextCodePoint(std::string_view utf8, std::size_t& position);
void AppendUtf8(std::string& out, std::uint32_t code_point);

/// For a terminal: control characters (also C1, bidi overrides) made visible, nothing else changed.
std::string VisibleText(std::string_view text);

/// Every `what` (not empty) replaced, from the left; what is put in is not looked at again.
std::string ReplaceAll(std::string_view text, std::string_view what, std::string_view with);
std::vector<std::string_view> SplitLines(std::string_view text);
/// The known word nearest to `word` by edit distance, or empty when none is near (for "Did you
/// mean").
std::string NearestWord(std::string_view word, const std::vector<std::string>& known);

}  // namespace h1bench

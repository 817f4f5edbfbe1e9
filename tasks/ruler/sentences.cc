#include <algorithm>
#include <array>

#include "base/sha256.h"
#include "base/text.h"
#include "tasks/ruler/sources.h"

namespace h1bench::tasks::ruler {
namespace {

/// Without the full stop, lower case: what is seldom the last word of a sentence.
constexpr std::array<std::string_view, 29> kAbbreviations = {
    "mr",  "mrs", "ms",   "dr",  "prof", "rev", "st",   "sr",  "jr",    "gen",
    "col", "sgt", "capt", "lt",  "hon",  "vs",  "cf",   "e.g", "i.e",   "etc",
    "vol", "fig", "dept", "est", "inc",  "ltd", "corp", "co",  "approx"};

/// Python's str.isspace() for the characters that essays hold.
bool IsSpace(std::uint32_t c) {
  return c == ' ' || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f) || c == 0x85 ||
         c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
         c == 0x202f || c == 0x205f || c == 0x3000;
}

bool EndsWith(std::string_view text, std::string_view tail) {
  return text.size() >= tail.size() && text.substr(text.size() - tail.size()) == tail;
}

constexpr std::array<std::string_view, 6> kClosing = {"\"", "'", ")", "]", "\u201d", "\u2019"};
constexpr std::array<std::string_view, 6> kOpening = {"\"", "'", "(", "[", "\u201c", "\u2018"};

std::string_view DropClosing(std::string_view word) {
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view mark : kClosing) {
      if (!EndsWith(word, mark)) continue;
      word.remove_suffix(mark.size());
      again = true;
    }
  }
  return word;
}

std::string_view DropOpening(std::string_view word) {
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view mark : kOpening) {
      if (word.substr(0, mark.size()) != mark) continue;
      word.remove_prefix(mark.size());
      again = true;
    }
  }
  return word;
}

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

bool EndsSentence(std::string_view word, std::string_view next) {
  const std::string_view bare = DropClosing(word);
  if (bare.empty() || (bare.back() != '.' && bare.back() != '!' && bare.back() != '?'))
    return false;
  const std::string_view start = DropOpening(next);
  // Letters beyond ASCII may be capitals: they start a sentence.
  const bool starts = !start.empty() && (IsUpper(start[0]) || IsDigit(start[0]) ||
                                         static_cast<unsigned char>(start[0]) >= 0x80);
  if (!starts) return false;
  if (bare.back() != '.') return true;
  std::string stem(DropOpening(bare.substr(0, bare.size() - 1)));
  if (stem.size() == 1 && IsUpper(stem[0]) && stem != "I") return false;  // an initial
  std::transform(stem.begin(), stem.end(), stem.begin(),
                 [](char c) { return IsUpper(c) ? static_cast<char>(c + 32) : c; });
  return std::find(kAbbreviations.begin(), kAbbreviations.end(), stem) == kAbbreviations.end();
}

std::string EssayDigest(const Essays& essays) {
  std::string text;
  for (std::size_t i = 0; i < essays.words.size(); ++i)
    text.append(essays.words[i]).append(essays.ends[i] ? "\n" : " ");
  return Sha256Hex(text);
}

Essays SplitEssays(std::string_view text) {
  Essays essays;
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) essays.words.push_back(std::move(word));
    word.clear();
  };
  for (std::size_t place = 0; place < text.size();) {
    const std::size_t start = place;
    if (IsSpace(NextCodePoint(text, place))) {
      finish();
    } else {
      word.append(text.substr(start, place - start));
    }
  }
  finish();
  for (std::size_t i = 0; i < essays.words.size(); ++i) {
    essays.ends.push_back(
        EndsSentence(essays.words[i], essays.words[(i + 1) % essays.words.size()]));
  }
  return essays;
}

}  // namespace h1bench::tasks::ruler

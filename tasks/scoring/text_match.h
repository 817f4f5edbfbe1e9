#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace h1bench::tasks {

/// Python's str.lower(), by simple case mapping of each code point.
std::string Lower(std::string_view text);
/// Python's str.split().
std::vector<std::string> Words(std::string_view text);

/// What does not count when two texts are compared; applied in this order. All four are SQuAD's
/// normalisation (Rajpurkar et al., arXiv 1606.05250).
struct Ignore {
  bool case_ = false;        // lower case
  bool punctuation = false;  // ASCII punctuation deleted (Python's string.punctuation)
  bool articles = false;     // the words a, an, the
  bool whitespace = false;   // runs of white space are one space, none at the ends
};
inline constexpr Ignore kIgnoreAsSquad = {true, true, true, true};
std::string Normalise(std::string_view text, const Ignore& ignore);

/// Of two normalised texts: 1 when they are equal.
double ExactMatch(const std::string& prediction, const std::string& gold);
/// 1 when `gold` is a part of `prediction`; an empty one is not.
double Contains(const std::string& prediction, const std::string& gold);
/// SQuAD's F1 of the two bags of words.
double WordF1(const std::string& prediction, const std::string& gold);

}  // namespace h1bench::tasks

#pragma once

#include <string>
#include <string_view>

#include "tasks/scoring/regex.h"

namespace h1bench::tasks {

/// What a filter gives when nothing was found; lm-eval's own spelling.
inline constexpr std::string_view kInvalid = "[invalid]";
/// What a filter gives when its work limit was hit: nothing is known of the answer. Scores with it
/// have the verdict kRegexLimitVerdict.
inline constexpr std::string_view kRegexLimit = "[regex limit]";
inline constexpr std::string_view kRegexLimitVerdict = "regex_limit";

/// Python's str.strip() with no argument, for ASCII whitespace and the Unicode spaces that models
/// write.
std::string Strip(std::string_view text);

/// lm-eval's filter "regex": the first (or last) match; of its groups the first that is not empty,
/// or the whole match of a pattern without groups; stripped. kInvalid when there is none,
/// kResourceExhausted when the work limit was hit.
Result<std::string> ExtractMatch(const Regex& regex, std::string_view text, bool last);

/// lm-eval's filters of gsm8k (PROTOCOLS: lm_eval/tasks/gsm8k): first match of `####
/// (\-?[0-9\.\,]+)`.
std::string Gsm8kStrict(std::string_view response);
/// What gsm8k_cot's strict filter demands behind the number. Upstream's dot is unescaped and stands
/// for any character, so that a response that ends right behind the number loses its last digit.
enum class CotDot { kAny, kDot, kNone };
/// gsm8k_cot's strict filter: `The answer is (\-?[0-9\.\,]+).`, with `\.` or nothing at its end.
std::string Gsm8kCotStrict(std::string_view response, CotDot dot = CotDot::kAny);
/// Both tasks' flexible-extract: last match of `(-?[$0-9.,]{2,})|(-?[0-9]+)`, first group that is
/// not empty.
std::string FlexibleExtract(std::string_view response);

/// lm-eval's exact_match with gsm8k's regexes_to_ignore and ignore_case: deletes `,`, `$`,
/// everything up to `#### ` and a final dot on both sides, lower-cases, and compares strings (18.0
/// is not 18).
bool Gsm8kExactMatch(std::string_view prediction, std::string_view gold);

/// The same deletions, then decimal numbers are compared, exactly and at any length: 18.0 and 018
/// are 18. What is no number equals nothing.
bool Gsm8kSameNumber(std::string_view prediction, std::string_view gold);

}  // namespace h1bench::tasks

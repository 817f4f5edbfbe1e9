#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "tasks/scoring/regex.h"

/// What is done to a text, step by step.
namespace h1bench::tasks::custom {

struct Step {
  enum class Kind {
    kStrip,    // Python's strip()
    kLower,    // lower case
    kReplace,  // every `text` by `with`
    kRegex,    // every match of `regex` by `with`, taken literally
    kFind,     // only the first or last match of `regex` stays (ExtractMatch)
  };
  Kind kind = Kind::kStrip;
  std::string text, with;
  std::optional<Regex> regex;
  bool last = false;
};

/// A `find` that finds nothing ends the chain with kInvalid. kResourceExhausted when an expression
/// hit its work limit.
Result<std::string> ApplySteps(const std::vector<Step>& steps, std::string text);

}  // namespace h1bench::tasks::custom

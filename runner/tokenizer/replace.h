#pragma once

#include <string>

#include "runner/tokenizer/node.h"
#include "runner/tokenizer/regex.h"

namespace h1bench::tokenizer {

/// {"type": "Replace", "pattern": ..., "content": ...}: every match becomes `content` as it stands
/// (no references to groups). It is a normalizer and a decoder.
class Replacement {
 public:
  static Result<Replacement> Read(const Node& node);
  /// The text with all matches replaced. Sets `gave_up` and leaves the rest as it is when a limit
  /// is hit.
  std::string Apply(std::string text, bool& gave_up) const;

 private:
  Replacement(Regex regex, std::string content)
      : regex_(std::move(regex)), content_(std::move(content)) {}
  Regex regex_;
  std::string content_;
};

}  // namespace h1bench::tokenizer

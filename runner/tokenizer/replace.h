#pragma once

#include <cstddef>
#include <string>

#include "runner/tokenizer/node.h"
#include "runner/tokenizer/regex.h"

namespace h1bench::tokenizer {

/// What a hostile file may spend on one text: a chain of replacements could double it sixty times.
struct Budget {
  explicit Budget(std::size_t text_bytes) : max_bytes((std::size_t{1} << 20) + 16 * text_bytes) {}
  std::size_t max_bytes;  // no replacement lets the text grow beyond this
  /// This limit or one of a regex was hit: the ids are not those of the reference.
  bool exhausted = false;
};

/// {"type": "Replace", "pattern": ..., "content": ...}: every match becomes `content` as it stands
/// (no references to groups). It is a normalizer and a decoder.
class Replacement {
 public:
  static Result<Replacement> Read(const Node& node);
  /// The text with all matches replaced. Hitting a limit leaves the rest as it is; with an
  /// exhausted budget all of it.
  std::string Apply(std::string text, Budget& budget) const;

 private:
  Replacement(Regex regex, std::string content)
      : regex_(std::move(regex)), content_(std::move(content)) {}
  Regex regex_;
  std::string content_;
};

}  // namespace h1bench::tokenizer

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runner/tokenizer/node.h"
#include "runner/tokenizer/split.h"

namespace h1bench::tokenizer {

/// A text cut into pieces. Spans point into `text`, do not overlap, are in order and are never
/// empty; what lies between them was removed.
struct Pieces {
  std::string text;
  std::vector<Span> spans;
  bool gave_up = false;  // a regex hit its limit: the cuts are not those of the reference
};

/// A step that cuts pieces into smaller ones and may rewrite them. Immutable and thread-safe.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void Apply(Pieces& pieces) const = 0;
};
using PreTokenizers = std::vector<std::unique_ptr<PreTokenizer>>;

/// The member "pre_tokenizer" of a tokenizer.json; null gives none, a Sequence its members in
/// order.
Result<PreTokenizers> ReadPreTokenizers(const Node& node);

}  // namespace h1bench::tokenizer

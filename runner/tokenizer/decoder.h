#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runner/tokenizer/node.h"

namespace h1bench::tokenizer {

/// A step from the strings of tokens back to text. Immutable and thread-safe.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual void Apply(std::vector<std::string>& tokens) const = 0;
};
using Decoders = std::vector<std::unique_ptr<Decoder>>;

/// The member "decoder" of a tokenizer.json; null gives none (tokens are joined by spaces then), a
/// Sequence its members.
Result<Decoders> ReadDecoders(const Node& node);

}  // namespace h1bench::tokenizer

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runner/tokenizer/node.h"
#include "runner/tokenizer/replace.h"

namespace h1bench::tokenizer {

/// No step lets a text grow beyond this: a chain of replacements in a hostile file could double it
/// sixty times.
inline constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30;

/// A step that rewrites text before it is split. Immutable and thread-safe.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual std::string Apply(std::string text, Budget& budget) const = 0;
};
using Normalizers = std::vector<std::unique_ptr<Normalizer>>;

/// The member "normalizer" of a tokenizer.json; null gives none, a Sequence its members in order.
Result<Normalizers> ReadNormalizers(const Node& node);

}  // namespace h1bench::tokenizer

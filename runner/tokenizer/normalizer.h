#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runner/tokenizer/node.h"

namespace h1bench::tokenizer {

/// No step lets a text grow beyond this: a chain of replacements in a hostile file could double it
/// sixty times.
inline constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30;

/// A step that rewrites text before it is split. Immutable and thread-safe.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// `gave_up` is set when a limit was hit; the step leaves the text (or its rest) as it was then.
  virtual std::string Apply(std::string text, bool& gave_up) const = 0;
};
using Normalizers = std::vector<std::unique_ptr<Normalizer>>;

/// The member "normalizer" of a tokenizer.json; null gives none, a Sequence its members in order.
Result<Normalizers> ReadNormalizers(const Node& node);

}  // namespace h1bench::tokenizer

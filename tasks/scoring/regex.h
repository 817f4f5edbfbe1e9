#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace h1bench::tasks {

/// A Perl-compatible regular expression over UTF-8 with limits on matching work, so that no model
/// output can make a scorer slow. Immutable and thread-safe after Compile.
class Regex {
 public:
  /// The pattern is ours or a task file's; a bad one is kInvalidArgument with the offset.
  static Result<Regex> Compile(const std::string& pattern);
  /// Compile for patterns that are constants of this program; aborts on a bad one.
  static Regex Constant(const std::string& pattern);

  struct Match {
    std::size_t begin = 0, end = 0;  // bytes
    std::vector<std::optional<std::string>>
        groups;  // 1, 2, ...: absent when the group did not take part
  };
  /// All matches from left to right, not overlapping, as Python's finditer. kResourceExhausted when
  /// a limit was hit.
  Result<std::vector<Match>> FindAll(std::string_view text,
                                     std::size_t at_most = static_cast<std::size_t>(-1)) const;
  /// Every match replaced by `replacement` (taken literally).
  Result<std::string> ReplaceAll(std::string_view text, std::string_view replacement) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
};

}  // namespace h1bench::tasks

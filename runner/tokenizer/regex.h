#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace h1bench::tokenizer {

/// An Oniguruma pattern over UTF-8 (the engine and syntax that the Hugging Face tokenizers library
/// uses). Immutable and thread-safe. Matching is bounded by retry and stack limits that grow with
/// the text.
class Regex {
 public:
  static Result<Regex> Compile(const std::string& pattern);
  /// A pattern that matches `text` literally.
  static Result<Regex> Literal(const std::string& text);
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  /// Calls `on_match(begin, end)` (byte offsets) for the non-overlapping matches from left to
  /// right, empty ones included unless they touch the end of the match before. False when a limit
  /// was hit: the rest of the text has no matches then.
  bool FindAll(std::string_view text,
               const std::function<void(std::size_t, std::size_t)>& on_match) const;

 private:
  struct Impl;
  explicit Regex(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace h1bench::tokenizer

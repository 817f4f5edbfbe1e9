#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace h1bench {

/// A Hugging Face tokenizer.json, interpreted. Immutable and thread-safe after loading.
class Tokenizer {
 public:
  /// `path` is a tokenizer.json or a folder that holds one.
  static Result<Tokenizer> Open(const std::filesystem::path& path);
  static Result<Tokenizer> Parse(const std::string& json, const std::string& name);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Token ids of UTF-8 text (invalid bytes become U+FFFD first). `add_special` runs the post-processor's template.
  std::vector<std::int32_t> Encode(std::string_view text, bool add_special = false) const;
  /// Text of ids, as transformers' decode(clean_up_tokenization_spaces=False). Unknown ids are skipped.
  std::string Decode(std::span<const std::int32_t> ids, bool skip_special = false) const;

  std::int64_t vocab_size() const;  // largest id + 1
  std::optional<std::int32_t> TokenToId(std::string_view token) const;
  bool IsSpecial(std::int32_t id) const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace h1bench

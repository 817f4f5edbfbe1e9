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

/// A Hugging Face tokenizer.json, interpreted: the ids and the text are those of the Hugging Face
/// tokenizers library. A part that this program does not know is refused by name when the file is
/// read. Immutable and thread-safe after loading.
class Tokenizer {
 public:
  /// `path` is a tokenizer.json or a folder that holds one.
  static Result<Tokenizer> Open(const std::filesystem::path& path);
  static Result<Tokenizer> Parse(const std::string& json, const std::string& name);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Token ids of UTF-8 text (invalid bytes become U+FFFD first). `add_special` runs the
  /// post-processor's template. "truncation" and "padding" of the file are not applied
  /// (transformers resets both on every call).
  std::vector<std::int32_t> Encode(std::string_view text, bool add_special = false) const;
  /// Text of ids, as transformers' decode(clean_up_tokenization_spaces=False). Unknown ids are
  /// skipped.
  std::string Decode(std::span<const std::int32_t> ids, bool skip_special = false) const;

  std::int64_t vocab_size() const;  // largest id + 1
  std::optional<std::int32_t> TokenToId(std::string_view token) const;
  bool IsSpecial(std::int32_t id) const;
  /// How many Encode() calls met a limit that keeps a hostile regex or replacement from running for
  /// ever. Their ids are deterministic but not those of the reference. 0 for every real tokenizer
  /// met so far.
  std::uint64_t limit_hits() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace h1bench

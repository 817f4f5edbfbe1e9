#include "cli/text_tokens.h"

#include <algorithm>

namespace h1bench::cli {
namespace {

/// The start of the character at `place`.
std::size_t WholeCharacters(std::string_view text, std::size_t place) {
  while (place > 0 && place < text.size() &&
         (static_cast<unsigned char>(text[place]) & 0xc0U) == 0x80U)
    --place;
  return place;
}

/// Bytes of the longest beginning of at most `tokens` tokens: for tokenizers whose text does not
/// come back byte by byte.
std::size_t Bisect(const Tokenizer& tokenizer, std::string_view text, std::size_t tokens) {
  std::size_t low = 0, high = text.size();
  while (low < high) {
    const std::size_t middle = low + (high - low + 1) / 2;
    if (tokenizer.Encode(text.substr(0, WholeCharacters(text, middle))).size() <= tokens) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return WholeCharacters(text, low);
}

std::size_t CutTokens(const Tokenizer& tokenizer, std::string_view text, std::int64_t drop) {
  const std::vector<std::int32_t> ids = tokenizer.Encode(text);
  const auto gone = std::min(ids.size(), static_cast<std::size_t>(std::max<std::int64_t>(0, drop)));
  const std::size_t left = ids.size() - gone;
  const std::string kept = tokenizer.Decode({ids.data(), left});
  const auto differs = std::mismatch(kept.begin(), kept.end(), text.begin(), text.end());
  const auto same = static_cast<std::size_t>(differs.first - kept.begin());
  // A character that the cut goes through comes back as U+FFFD, three bytes at most three times.
  return kept.size() - same <= 9 ? WholeCharacters(text, same) : Bisect(tokenizer, text, left);
}

}  // namespace

TextTokens TokensOf(Tokenizer tokenizer) {
  return TokensOf(std::make_shared<const Tokenizer>(std::move(tokenizer)));
}

TextTokens TokensOf(std::shared_ptr<const Tokenizer> shared) {
  return {[shared](std::string_view text) {
            return static_cast<std::int64_t>(shared->Encode(text).size());
          },
          [shared](std::string_view text, std::int64_t drop) {
            return CutTokens(*shared, text, drop);
          }};
}

}  // namespace h1bench::cli

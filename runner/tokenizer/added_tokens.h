#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "runner/tokenizer/node.h"
#include "runner/tokenizer/normalizer.h"
#include "runner/tokenizer/split.h"

namespace h1bench::tokenizer {

/// A token that is looked for in the text itself, before (or, when `normalized`, after) the
/// normalizer.
struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  std::string shown;         // what decoding gives: the content, normalized for a normalized token
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the whitespace in front of it along
  bool rstrip = false;       // and behind it
  bool normalized = false;
  bool special = false;
};

/// The member "added_tokens" of a tokenizer.json, ids not yet held against the vocabulary.
Result<std::vector<AddedToken>> ReadAddedTokens(const Node& root);

/// A part of a text: an added token, or text (id -1) to go through the model.
struct TokenOrText {
  std::int32_t id = -1;
  Span span;
};

/// Finds a set of added tokens: of those that begin leftmost the longest. Immutable and
/// thread-safe.
class AddedTokenFinder {
 public:
  /// `patterns[i]` is what to look for as `tokens[i]`.
  AddedTokenFinder(std::vector<AddedToken> tokens, const std::vector<std::string>& patterns);
  void Split(std::string_view text, std::vector<TokenOrText>& out) const;

 private:
  struct State {
    std::map<unsigned char, std::size_t> next;
    std::int32_t token = -1;  // index into tokens_ that ends here
  };
  /// Index of the longest token at `begin` and its end, or -1.
  std::int32_t LongestAt(std::string_view text, std::size_t begin, std::size_t& end) const;

  std::vector<AddedToken> tokens_;
  std::vector<State> trie_;
};

}  // namespace h1bench::tokenizer

#include "runner/tokenizer/added_tokens.h"

#include <limits>

#include "base/text.h"
#include "runner/tokenizer/unicode.h"

namespace h1bench::tokenizer {
namespace {

// Longer ones are no tokens anybody meant, and looking for them at every position would be slow.
constexpr std::size_t kMaxContentBytes = 1024;

bool EndsWithWord(std::string_view text) {
  if (text.empty()) return false;
  std::size_t i = text.size() - 1;
  while (i > 0 && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) --i;
  return IsWord(NextCodePoint(text, i));
}

bool StartsWithWord(std::string_view text) {
  std::size_t i = 0;
  return !text.empty() && IsWord(NextCodePoint(text, i));
}

/// Where the whitespace at the end of `text` begins.
std::size_t TrailingSpaceBegin(std::string_view text) {
  std::size_t begin = text.size();
  while (begin > 0) {
    std::size_t i = begin - 1;
    while (i > 0 && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) --i;
    const std::size_t start = i;
    if (!IsWhitespace(NextCodePoint(text, i))) return begin;
    begin = start;
  }
  return 0;
}

/// Bytes of whitespace at the beginning of `text`.
std::size_t LeadingSpace(std::string_view text) {
  std::size_t end = 0;
  for (std::size_t i = 0; i < text.size() && IsWhitespace(NextCodePoint(text, i));) end = i;
  return end;
}

}  // namespace

Result<std::vector<AddedToken>> ReadAddedTokens(const Node& root) {
  std::vector<AddedToken> tokens;
  if (root.Optional("added_tokens").is_null()) return tokens;
  H1_ASSIGN_OR_RETURN(const std::vector<Node> items, root.Items("added_tokens"));
  for (const Node& item : items) {
    H1_RETURN_IF_ERROR(item.OnlyMembers(
        {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}));
    AddedToken token;
    H1_ASSIGN_OR_RETURN(const std::int64_t id,
                        item.Integer("id", std::numeric_limits<std::int32_t>::max() - 1));
    token.id = static_cast<std::int32_t>(id);
    H1_ASSIGN_OR_RETURN(token.content, item.String("content"));
    if (token.content.empty() || token.content.size() > kMaxContentBytes)
      return item.CorruptHere(fmt::format("content of {} bytes; expected 1 to {}",
                                          token.content.size(), kMaxContentBytes));
    H1_ASSIGN_OR_RETURN(token.single_word, item.Bool("single_word", false));
    H1_ASSIGN_OR_RETURN(token.lstrip, item.Bool("lstrip", false));
    H1_ASSIGN_OR_RETURN(token.rstrip, item.Bool("rstrip", false));
    H1_ASSIGN_OR_RETURN(token.special, item.Bool("special", false));
    H1_ASSIGN_OR_RETURN(token.normalized, item.Bool("normalized", !token.special));
    tokens.push_back(std::move(token));
  }
  return tokens;
}

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens,
                                   const std::vector<std::string>& patterns)
    : tokens_(std::move(tokens)), trie_(1) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    std::size_t state = 0;
    for (const char c : patterns[i]) {
      const auto [edge, added] =
          trie_[state].next.try_emplace(static_cast<unsigned char>(c), trie_.size());
      state = edge->second;  // before the vector grows
      if (added) trie_.emplace_back();
    }
    if (state != 0 && trie_[state].token < 0) trie_[state].token = static_cast<std::int32_t>(i);
  }
}

std::int32_t AddedTokenFinder::LongestAt(std::string_view text, std::size_t begin,
                                         std::size_t& end) const {
  std::int32_t longest = -1;
  std::size_t state = 0;
  for (std::size_t i = begin; i < text.size(); ++i) {
    const auto edge = trie_[state].next.find(static_cast<unsigned char>(text[i]));
    if (edge == trie_[state].next.end()) break;
    state = edge->second;
    if (trie_[state].token < 0) continue;
    longest = trie_[state].token;
    end = i + 1;
  }
  return longest;
}

void AddedTokenFinder::Split(std::string_view text, std::vector<TokenOrText>& out) const {
  std::size_t rest = 0;  // everything before it is in `out`
  std::size_t match_end = 0;
  for (std::size_t at = 0; !tokens_.empty() && at < text.size(); ++at) {
    const std::int32_t found = LongestAt(text, at, match_end);
    if (found < 0) continue;
    const AddedToken& token = tokens_[static_cast<std::size_t>(found)];
    Span span{at, match_end};
    at = match_end - 1;  // the search goes on behind the match, also behind one that is refused now
    if (token.single_word &&
        (EndsWithWord(text.substr(0, span.begin)) || StartsWithWord(text.substr(span.end))))
      continue;
    if (token.lstrip) span.begin = std::max(TrailingSpaceBegin(text.substr(0, span.begin)), rest);
    if (token.rstrip) span.end += LeadingSpace(text.substr(span.end));
    if (rest < span.begin) out.push_back({-1, {rest, span.begin}});
    out.push_back({token.id, span});
    rest = span.end;
  }
  if (rest < text.size()) out.push_back({-1, {rest, text.size()}});
}

}  // namespace h1bench::tokenizer

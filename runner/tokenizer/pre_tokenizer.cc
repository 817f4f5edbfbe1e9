#include "runner/tokenizer/pre_tokenizer.h"

#include <optional>

#include "base/text.h"
#include "runner/tokenizer/unicode.h"

namespace h1bench::tokenizer {
namespace {

/// Cuts every piece by what `match(text, parts)` finds in it.
template <typename Match>
void SplitPieces(Pieces& pieces, SplitBehavior behavior, Match match) {
  std::vector<Span> spans;
  spans.reserve(pieces.spans.size());
  std::vector<Part> parts;
  for (const Span& span : pieces.spans) {
    parts.clear();
    match(std::string_view(pieces.text).substr(span.begin, span.end - span.begin), parts);
    ApplyBehavior(parts, behavior, span.begin, spans);
  }
  pieces.spans = std::move(spans);
}

class RegexSplit : public PreTokenizer {
 public:
  RegexSplit(Regex regex, SplitBehavior behavior, bool invert)
      : regex_(std::move(regex)), behavior_(behavior), invert_(invert) {}
  void Apply(Pieces& pieces) const override {
    SplitPieces(pieces, behavior_, [&](std::string_view text, std::vector<Part>& parts) {
      if (!AppendMatches(regex_, text, parts)) pieces.gave_up = true;
      if (invert_)
        for (Part& part : parts) part.is_match = !part.is_match;
    });
  }

 private:
  Regex regex_;
  SplitBehavior behavior_;
  bool invert_;
};

class PredicateSplit : public PreTokenizer {
 public:
  PredicateSplit(bool (*predicate)(std::uint32_t), SplitBehavior behavior)
      : predicate_(predicate), behavior_(behavior) {}
  void Apply(Pieces& pieces) const override {
    SplitPieces(pieces, behavior_, [&](std::string_view text, std::vector<Part>& parts) {
      AppendMatches(predicate_, text, parts);
    });
  }

 private:
  bool (*predicate_)(std::uint32_t);
  SplitBehavior behavior_;
};

void AddPrefixSpaces(Pieces& pieces) {
  Pieces out;
  out.text.reserve(pieces.text.size() + pieces.spans.size());
  for (const Span& span : pieces.spans) {
    const std::size_t begin = out.text.size();
    if (pieces.text[span.begin] != ' ') out.text += ' ';
    out.text.append(pieces.text, span.begin, span.end - span.begin);
    out.spans.push_back({begin, out.text.size()});
  }
  pieces.text = std::move(out.text);
  pieces.spans = std::move(out.spans);
}

/// Every byte becomes the printable code point that stands for it.
void MapBytes(Pieces& pieces) {
  static const std::vector<std::string> kUtf8 = [] {
    std::vector<std::string> table(256);
    for (std::size_t byte = 0; byte < 256; ++byte) AppendUtf8(table[byte], ByteToCodePoint()[byte]);
    return table;
  }();
  std::string text;
  text.reserve(pieces.text.size() + pieces.text.size() / 4);
  for (Span& span : pieces.spans) {
    const std::size_t begin = text.size();
    for (std::size_t i = span.begin; i < span.end; ++i)
      text += kUtf8[static_cast<unsigned char>(pieces.text[i])];
    span = {begin, text.size()};
  }
  pieces.text = std::move(text);
}

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, std::optional<RegexSplit> words)
      : add_prefix_space_(add_prefix_space), words_(std::move(words)) {}
  void Apply(Pieces& pieces) const override {
    if (add_prefix_space_) AddPrefixSpaces(pieces);
    if (words_) words_->Apply(pieces);
    MapBytes(pieces);
  }

 private:
  bool add_prefix_space_;
  std::optional<RegexSplit> words_;
};

Result<std::unique_ptr<PreTokenizer>> ReadByteLevel(const Node& node) {
  // The cut of GPT-2: contractions; letters, digits or other symbols with one space in front;
  // spaces, the last of which is left to the word behind them. trim_offsets is about offsets, which
  // nobody here asks for.
  constexpr const char* kWords =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "add_prefix_space", "trim_offsets", "use_regex"}));
  H1_ASSIGN_OR_RETURN(const bool add_prefix_space, node.Bool("add_prefix_space", true));
  H1_ASSIGN_OR_RETURN(const bool use_regex, node.Bool("use_regex", true));
  std::optional<RegexSplit> words;
  if (use_regex) {
    H1_ASSIGN_OR_RETURN(Regex regex, Regex::Compile(kWords));
    words.emplace(std::move(regex), SplitBehavior::kIsolated, false);
  }
  return std::unique_ptr<PreTokenizer>(
      std::make_unique<ByteLevel>(add_prefix_space, std::move(words)));
}

Result<std::unique_ptr<PreTokenizer>> ReadSplit(const Node& node) {
  H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "pattern", "behavior", "invert"}));
  H1_ASSIGN_OR_RETURN(Regex regex, ReadPattern(node));
  H1_RETURN_IF_ERROR(node.Member("behavior").status());
  H1_ASSIGN_OR_RETURN(const SplitBehavior behavior, ReadBehavior(node, SplitBehavior::kIsolated));
  H1_ASSIGN_OR_RETURN(const bool invert, node.Bool("invert", false));
  return std::unique_ptr<PreTokenizer>(
      std::make_unique<RegexSplit>(std::move(regex), behavior, invert));
}

/// Words (\w+ of Rust's regex crate) and runs of what is neither word nor space; the spaces go.
Result<std::unique_ptr<PreTokenizer>> ReadWhitespace(const Node& node) {
  constexpr const char* kPattern =
      R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\s]+)";
  H1_RETURN_IF_ERROR(node.OnlyMembers({"type"}));
  H1_ASSIGN_OR_RETURN(Regex regex, Regex::Compile(kPattern));
  return std::unique_ptr<PreTokenizer>(
      std::make_unique<RegexSplit>(std::move(regex), SplitBehavior::kRemoved, true));
}

Result<std::unique_ptr<PreTokenizer>> ReadOne(const Node& node, const std::string& type) {
  if (type == "ByteLevel") return ReadByteLevel(node);
  if (type == "Split") return ReadSplit(node);
  if (type == "Whitespace") return ReadWhitespace(node);
  bool (*predicate)(std::uint32_t) = &IsWhitespace;
  SplitBehavior behavior = SplitBehavior::kRemoved;
  if (type == "Digits") {
    H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "individual_digits"}));
    H1_ASSIGN_OR_RETURN(const bool individual, node.Bool("individual_digits", false));
    predicate = &IsNumeric;
    behavior = individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous;
  } else if (type == "Punctuation") {
    H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "behavior"}));
    H1_ASSIGN_OR_RETURN(behavior, ReadBehavior(node, SplitBehavior::kIsolated));
    predicate = &IsPunctuation;
  } else {
    H1_RETURN_IF_ERROR(node.OnlyMembers({"type"}));  // WhitespaceSplit
  }
  return std::unique_ptr<PreTokenizer>(std::make_unique<PredicateSplit>(predicate, behavior));
}

// Recursion is bounded by the JSON reader's depth limit.
Status Append(const Node& node, PreTokenizers& out) {
  static const std::vector<std::string> kKnown = {
      "ByteLevel", "Digits", "Punctuation", "Sequence", "Split", "Whitespace", "WhitespaceSplit"};
  H1_ASSIGN_OR_RETURN(const std::string type, node.Type("pre-tokenizer", kKnown));
  if (type == "Sequence") {
    H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "pretokenizers"}));
    H1_ASSIGN_OR_RETURN(const std::vector<Node> items, node.Items("pretokenizers"));
    for (const Node& item : items) H1_RETURN_IF_ERROR(Append(item, out));
    return Status::Ok();
  }
  H1_ASSIGN_OR_RETURN(std::unique_ptr<PreTokenizer> one, ReadOne(node, type));
  out.push_back(std::move(one));
  return Status::Ok();
}

}  // namespace

Result<PreTokenizers> ReadPreTokenizers(const Node& node) {
  PreTokenizers out;
  if (!node.is_null()) H1_RETURN_IF_ERROR(Append(node, out));
  return out;
}

}  // namespace h1bench::tokenizer

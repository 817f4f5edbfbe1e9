#include "runner/tokenizer/tokenizer.h"

#include <atomic>
#include <unordered_map>
#include <unordered_set>

#include "base/file.h"
#include "base/text.h"
#include "runner/tokenizer/added_tokens.h"
#include "runner/tokenizer/bpe.h"
#include "runner/tokenizer/decoder.h"
#include "runner/tokenizer/normalizer.h"
#include "runner/tokenizer/post_processor.h"
#include "runner/tokenizer/pre_tokenizer.h"

namespace h1bench {

using namespace tokenizer;  // NOLINT: the parts of this one class

struct Tokenizer::Impl {
  Impl(Bpe model_in, Normalizers normalizers_in)
      : model(std::move(model_in)), normalizers(std::move(normalizers_in)) {}

  Status AddTokens(const Node& root);
  Status CheckId(const Node& item, const AddedToken& token);
  void BuildFinders();
  std::string NormalizeText(std::string text, Budget& budget) const;
  void EncodeText(std::string_view text, Bpe::Scratch& scratch, std::vector<std::int32_t>& ids,
                  bool& gave_up) const;
  const std::string* TokenOf(std::int32_t id) const;

  Bpe model;
  Normalizers normalizers;
  PreTokenizers pre_tokenizers;
  SpecialIds special_ids;
  Decoders decoders;
  std::vector<AddedToken> added;  // in the order of the file
  std::unordered_map<std::int32_t, std::size_t> added_by_id;
  std::unordered_map<std::string, std::int32_t> added_by_content;
  std::optional<AddedTokenFinder> raw_finder;         // looks at the text as it is
  std::optional<AddedTokenFinder> normalized_finder;  // at what the normalizer made of it
  std::int64_t vocab_size = 0;
  mutable std::atomic<std::uint64_t> limit_hits{0};
};

/// Upstream does not use the ids of the file but deals its own; a file in which they differ is
/// broken and would give other ids here than there.
Status Tokenizer::Impl::CheckId(const Node& item, const AddedToken& token) {
  std::int64_t expected = 0;
  if (const auto id = model.TokenToId(token.content)) {
    expected = *id;
  } else {
    const auto entries = static_cast<std::int64_t>(model.size());
    std::int64_t largest = -1;
    for (const AddedToken& other : added) largest = std::max<std::int64_t>(largest, other.id);
    expected = std::max(largest + 1, entries);
    if (model.IdToToken(static_cast<std::int32_t>(expected)) != nullptr)
      return item.CorruptHere(
          fmt::format("the next free id {} belongs to another token", expected));
  }
  if (expected != token.id)
    return item.CorruptHere(fmt::format("token {}: expected id {}, found {}",
                                        QuoteJson(VisibleText(token.content)), expected, token.id));
  return Status::Ok();
}

Status Tokenizer::Impl::AddTokens(const Node& root) {
  H1_ASSIGN_OR_RETURN(std::vector<AddedToken> tokens, ReadAddedTokens(root));
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const Node item(root.json(), fmt::format("added_tokens[{}]", i));
    H1_RETURN_IF_ERROR(CheckId(item, tokens[i]));
    if (!added_by_content.emplace(tokens[i].content, tokens[i].id).second)
      return item.CorruptHere("token " + QuoteJson(VisibleText(tokens[i].content)) +
                              " was added before");
    added_by_id.emplace(tokens[i].id, i);
    added.push_back(tokens[i]);
  }
  vocab_size = std::int64_t{model.max_id()} + 1;
  for (const AddedToken& token : added)
    vocab_size = std::max(vocab_size, std::int64_t{token.id} + 1);
  return Status::Ok();
}

void Tokenizer::Impl::BuildFinders() {
  std::vector<AddedToken> tokens[2];
  std::vector<std::string> patterns[2];
  for (AddedToken& token : added) {
    Budget budget(token.content.size());
    token.shown = token.normalized ? NormalizeText(token.content, budget) : token.content;
    tokens[token.normalized].push_back(token);
    patterns[token.normalized].push_back(token.shown);
  }
  raw_finder.emplace(tokens[0], patterns[0]);
  normalized_finder.emplace(tokens[1], patterns[1]);
}

std::string Tokenizer::Impl::NormalizeText(std::string text, Budget& budget) const {
  for (const auto& normalizer : normalizers) text = normalizer->Apply(std::move(text), budget);
  return text;
}

/// `text` holds no raw added token any more.
void Tokenizer::Impl::EncodeText(std::string_view text, Bpe::Scratch& scratch,
                                 std::vector<std::int32_t>& ids, bool& gave_up) const {
  Budget budget(text.size());
  const std::string normalized = NormalizeText(std::string(text), budget);
  gave_up = gave_up || budget.exhausted;
  std::vector<TokenOrText> parts;
  normalized_finder->Split(normalized, parts);
  for (const TokenOrText& part : parts) {
    if (part.id >= 0) {
      ids.push_back(part.id);
      continue;
    }
    Pieces pieces;
    pieces.text = normalized.substr(part.span.begin, part.span.end - part.span.begin);
    pieces.spans = {{0, pieces.text.size()}};
    for (const auto& pre_tokenizer : pre_tokenizers) pre_tokenizer->Apply(pieces);
    gave_up = gave_up || pieces.gave_up;
    for (const Span& span : pieces.spans)
      model.EncodePiece(std::string_view(pieces.text).substr(span.begin, span.end - span.begin),
                        scratch, ids);
  }
}

const std::string* Tokenizer::Impl::TokenOf(std::int32_t id) const {
  const auto found = added_by_id.find(id);
  return found != added_by_id.end() ? &added[found->second].shown : model.IdToToken(id);
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::Open(const std::filesystem::path& path) {
  constexpr std::uint64_t kMaxBytes = 256ULL << 20;
  const auto file = std::filesystem::is_directory(path) ? path / "tokenizer.json" : path;
  H1_ASSIGN_OR_RETURN(const std::string json, ReadFile(file, kMaxBytes));
  return Parse(json, file.string());
}

Result<Tokenizer> Tokenizer::Parse(const std::string& json, const std::string& name) {
  const auto parse = [&]() -> Result<Tokenizer> {
    H1_ASSIGN_OR_RETURN(const Json document, ParseJson(json));
    const Node root(document, "");
    H1_RETURN_IF_ERROR(
        root.OnlyMembers({"version", "truncation", "padding", "added_tokens", "normalizer",
                          "pre_tokenizer", "post_processor", "decoder", "model"}));
    H1_ASSIGN_OR_RETURN(const std::string version, root.String("version"));
    if (version != "1.0")
      return root.Optional("version").UnsupportedHere(
          "expected \"1.0\", found " + QuoteJson(VisibleText(version.substr(0, 80))));
    H1_ASSIGN_OR_RETURN(const Node model_node, root.Member("model"));
    H1_ASSIGN_OR_RETURN(Bpe model, Bpe::Read(model_node));
    H1_ASSIGN_OR_RETURN(Normalizers normalizers, ReadNormalizers(root.Optional("normalizer")));
    auto impl = std::make_unique<Impl>(std::move(model), std::move(normalizers));
    H1_ASSIGN_OR_RETURN(impl->pre_tokenizers, ReadPreTokenizers(root.Optional("pre_tokenizer")));
    H1_ASSIGN_OR_RETURN(impl->decoders, ReadDecoders(root.Optional("decoder")));
    H1_RETURN_IF_ERROR(impl->AddTokens(root));
    impl->BuildFinders();
    H1_ASSIGN_OR_RETURN(impl->special_ids,
                        ReadPostProcessor(root.Optional("post_processor"), [&](std::int64_t id) {
                          return id >= 0 && id < impl->vocab_size &&
                                 impl->TokenOf(static_cast<std::int32_t>(id)) != nullptr;
                        }));
    return Tokenizer(std::move(impl));
  };
  Result<Tokenizer> tokenizer = parse();
  if (!tokenizer.ok()) return tokenizer.status().WithContext(name);
  return tokenizer;
}

std::vector<std::int32_t> Tokenizer::Encode(std::string_view text, bool add_special) const {
  std::string repaired;
  if (!IsValidUtf8(text)) text = repaired = ReplaceInvalidUtf8(text);
  std::vector<std::int32_t> ids;
  if (add_special) ids = impl_->special_ids.before;
  std::vector<TokenOrText> parts;
  impl_->raw_finder->Split(text, parts);
  Bpe::Scratch scratch;
  bool gave_up = false;
  for (const TokenOrText& part : parts) {
    if (part.id >= 0)
      ids.push_back(part.id);
    else
      impl_->EncodeText(text.substr(part.span.begin, part.span.end - part.span.begin), scratch, ids,
                        gave_up);
  }
  if (gave_up) ++impl_->limit_hits;
  const auto& after = impl_->special_ids.after;
  if (add_special) ids.insert(ids.end(), after.begin(), after.end());
  return ids;
}

std::string Tokenizer::Decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  for (const std::int32_t id : ids) {
    const std::string* token = impl_->TokenOf(id);
    if (token == nullptr) continue;
    // Upstream looks the shown text up among the special contents; so a special token that the
    // normalizer changes stays.
    const auto special =
        skip_special ? impl_->added_by_content.find(*token) : impl_->added_by_content.end();
    if (special == impl_->added_by_content.end() || !IsSpecial(special->second))
      tokens.push_back(*token);
  }
  std::string out;
  if (impl_->decoders.empty()) {
    for (std::size_t i = 0; i < tokens.size(); ++i) out += (i > 0 ? " " : "") + tokens[i];
    return out;
  }
  for (const auto& decoder : impl_->decoders) decoder->Apply(tokens);
  for (const std::string& token : tokens) out += token;
  return out;
}

std::int64_t Tokenizer::vocab_size() const { return impl_->vocab_size; }

std::optional<std::int32_t> Tokenizer::TokenToId(std::string_view token) const {
  const auto found = impl_->added_by_content.find(std::string(token));
  if (found != impl_->added_by_content.end()) return found->second;
  return impl_->model.TokenToId(token);
}

bool Tokenizer::IsSpecial(std::int32_t id) const {
  const auto found = impl_->added_by_id.find(id);
  return found != impl_->added_by_id.end() && impl_->added[found->second].special;
}

std::uint64_t Tokenizer::limit_hits() const { return impl_->limit_hits; }

}  // namespace h1bench

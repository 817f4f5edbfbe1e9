#include "runner/tokenizer/bpe.h"

#include <algorithm>
#include <limits>

#include "base/text.h"

namespace h1bench::tokenizer {
namespace {

constexpr std::uint32_t kShortSymbols = 0x800;  // code points of one or two UTF-8 bytes
constexpr std::int64_t kMaxId = std::numeric_limits<std::int32_t>::max() - 1;

std::string Shown(std::string_view token) { return QuoteJson(VisibleText(token.substr(0, 80))); }

/// Hash of a pair of ids (the finaliser of SplitMix64).
std::uint64_t Mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

/// A model part that would change the ids and that no byte-level tokenizer uses: only its absence
/// is taken.
Status RefuseUnlessEmpty(const Node& node, std::string_view key) {
  const Node member = node.Optional(key);
  if (member.is_null() || (member.json().is_string() && member.json().as_string().empty()))
    return Status::Ok();
  return member.UnsupportedHere("only null is supported, found " +
                                WriteJson(member.json()).substr(0, 80));
}

}  // namespace

Result<Bpe> Bpe::Read(const Node& node) {
  if (!node.json().is_object())
    return node.CorruptHere(fmt::format("expected an object, found {}", node.json().TypeName()));
  // Old files have no type; what they hold is told by its members.
  if (node.json().Find("type") != nullptr) H1_RETURN_IF_ERROR(node.Type("model", {"BPE"}).status());
  H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "dropout", "unk_token", "continuing_subword_prefix",
                                       "end_of_word_suffix", "fuse_unk", "byte_fallback",
                                       "ignore_merges", "vocab", "merges"}));
  const Node dropout = node.Optional("dropout");
  if (!dropout.is_null() && !(dropout.json().is_number() && dropout.json().as_double() == 0))
    return dropout.UnsupportedHere("only null or 0 is supported: dropout draws at random, found " +
                                   WriteJson(dropout.json()).substr(0, 80));
  H1_RETURN_IF_ERROR(RefuseUnlessEmpty(node, "continuing_subword_prefix"));
  H1_RETURN_IF_ERROR(RefuseUnlessEmpty(node, "end_of_word_suffix"));
  Bpe bpe;
  H1_ASSIGN_OR_RETURN(bpe.fuse_unk_, node.Bool("fuse_unk", false));
  H1_ASSIGN_OR_RETURN(bpe.ignore_merges_, node.Bool("ignore_merges", false));
  H1_RETURN_IF_ERROR(bpe.ReadVocab(node));
  H1_RETURN_IF_ERROR(bpe.ReadUnknown(node));
  H1_RETURN_IF_ERROR(bpe.ReadMerges(node));
  return bpe;
}

Status Bpe::ReadVocab(const Node& node) {
  H1_ASSIGN_OR_RETURN(const Node vocab, node.Member("vocab"));
  if (!vocab.json().is_object())
    return vocab.CorruptHere(fmt::format("expected an object, found {}", vocab.json().TypeName()));
  const Json::Object& members = vocab.json().as_object();
  ids_.reserve(members.size());
  by_id_.reserve(members.size());
  short_symbols_.assign(kShortSymbols, -1);
  for (const auto& [token, id] : members) {
    if (!id.is_integer() || id.as_double() < 0 || id.as_double() > static_cast<double>(kMaxId))
      return vocab.CorruptHere(
          fmt::format("id of token {}: expected an integer from 0 to {}, found {}", Shown(token),
                      kMaxId, WriteJson(id).substr(0, 80)));
    const auto entry = ids_.emplace(token, static_cast<std::int32_t>(id.as_int())).first;
    by_id_.emplace_back(entry->second, &entry->first);
    std::size_t end = 0;
    if (token.empty()) continue;
    const std::uint32_t c = NextCodePoint(token, end);
    if (end == token.size() && c < kShortSymbols) short_symbols_[c] = entry->second;
  }
  std::sort(by_id_.begin(), by_id_.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (std::size_t i = 1; i < by_id_.size(); ++i)
    if (by_id_[i].first == by_id_[i - 1].first)
      return vocab.CorruptHere(fmt::format("tokens {} and {} have the same id {}",
                                           Shown(*by_id_[i - 1].second), Shown(*by_id_[i].second),
                                           by_id_[i].first));
  return Status::Ok();
}

Status Bpe::ReadUnknown(const Node& node) {
  if (!node.Optional("unk_token").is_null()) {
    H1_ASSIGN_OR_RETURN(const std::string token, node.String("unk_token"));
    const auto id = TokenToId(token);
    if (!id)
      return node.Optional("unk_token").CorruptHere(Shown(token) + " is not in the vocabulary");
    unk_ = *id;
  }
  H1_ASSIGN_OR_RETURN(const bool byte_fallback, node.Bool("byte_fallback", false));
  if (!byte_fallback) return Status::Ok();
  for (int byte = 0; byte < 256; ++byte)
    byte_ids_.push_back(TokenToId(fmt::format("<0x{:02X}>", byte)).value_or(-1));
  return Status::Ok();
}

Status Bpe::ReadMerges(const Node& node) {
  H1_ASSIGN_OR_RETURN(const std::vector<Node> items, node.Items("merges"));
  std::size_t slots = 2;
  while (slots < 2 * items.size()) slots *= 2;
  merges_.resize(slots);
  std::uint32_t rank = 0;
  for (const Node& item : items) {
    const Json& json = item.json();
    if (json.is_string()) {
      const std::string_view line = json.as_string();
      if (line.substr(0, 8) == "#version") continue;
      const std::size_t space = line.find(' ');
      if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
        return item.CorruptHere("expected two tokens and one space between them, found " +
                                Shown(line));
      H1_RETURN_IF_ERROR(AddMerge(item, line.substr(0, space), line.substr(space + 1), rank++));
    } else if (json.is_array() && json.as_array().size() == 2 && json.as_array()[0].is_string() &&
               json.as_array()[1].is_string()) {
      H1_RETURN_IF_ERROR(
          AddMerge(item, json.as_array()[0].as_string(), json.as_array()[1].as_string(), rank++));
    } else {
      return item.CorruptHere("expected \"left right\" or [\"left\", \"right\"], found " +
                              WriteJson(json).substr(0, 80));
    }
  }
  return Status::Ok();
}

Status Bpe::AddMerge(const Node& item, std::string_view a, std::string_view b, std::uint32_t rank) {
  std::int32_t ids[3];
  const std::string tokens[3] = {std::string(a), std::string(b), std::string(a) + std::string(b)};
  for (int i = 0; i < 3; ++i) {
    const auto id = TokenToId(tokens[i]);
    if (!id) return item.CorruptHere("token " + Shown(tokens[i]) + " is not in the vocabulary");
    ids[i] = *id;
  }
  if (a.empty() || b.empty()) return item.CorruptHere("a merge with an empty token");
  Insert({Pair(ids[0], ids[1]), rank, ids[2]});
  return Status::Ok();
}

void Bpe::Insert(const Merge& merge) {
  const std::size_t mask = merges_.size() - 1;
  std::size_t slot = Mix(merge.pair) & mask;
  while (merges_[slot].pair != kNoPair && merges_[slot].pair != merge.pair)
    slot = (slot + 1) & mask;
  merges_[slot] = merge;  // the last of equal pairs counts, as upstream
}

const Bpe::Merge* Bpe::Find(std::int32_t a, std::int32_t b) const {
  const std::uint64_t pair = Pair(a, b);
  const std::size_t mask = merges_.size() - 1;
  for (std::size_t slot = Mix(pair) & mask; merges_[slot].pair != kNoPair; slot = (slot + 1) & mask)
    if (merges_[slot].pair == pair) return &merges_[slot];
  return nullptr;
}

std::optional<std::int32_t> Bpe::TokenToId(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string* Bpe::IdToToken(std::int32_t id) const {
  const auto found =
      std::lower_bound(by_id_.begin(), by_id_.end(), id,
                       [](const auto& entry, std::int32_t value) { return entry.first < value; });
  return found != by_id_.end() && found->first == id ? found->second : nullptr;
}

std::int32_t Bpe::SymbolId(std::string_view symbol) const {
  if (symbol.size() <= 2) {
    std::size_t end = 0;
    return short_symbols_[NextCodePoint(symbol, end)];
  }
  return TokenToId(symbol).value_or(-1);
}

void Bpe::FillSymbols(std::string_view piece, Scratch& scratch) const {
  auto& symbols = scratch.symbols_;
  symbols.clear();
  const auto push = [&](std::int32_t id) {
    const auto index = static_cast<std::int32_t>(symbols.size());
    symbols.push_back({id, index - 1, index + 1, true});
  };
  bool unk_waits = false;  // an unknown symbol that the next unknown ones may fuse with
  for (std::size_t i = 0; i < piece.size();) {
    const std::size_t begin = i;
    NextCodePoint(piece, i);
    const std::string_view symbol = piece.substr(begin, i - begin);
    const std::int32_t id = SymbolId(symbol);
    if (id >= 0) {
      if (unk_waits) push(unk_);
      unk_waits = false;
      push(id);
      continue;
    }
    const auto byte_id = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
    if (!byte_ids_.empty() &&
        std::all_of(symbol.begin(), symbol.end(), [&](char c) { return byte_id(c) >= 0; })) {
      // A waiting unknown symbol comes out behind these bytes: that is what upstream does.
      for (const char c : symbol) push(byte_id(c));
      continue;
    }
    if (unk_ < 0) continue;  // upstream drops what it has no token for
    if (unk_waits && !fuse_unk_) push(unk_);
    unk_waits = true;
  }
  if (unk_waits) push(unk_);
  if (!symbols.empty()) symbols.back().next = -1;
}

void Bpe::MergeSymbols(Scratch& scratch) const {
  auto& symbols = scratch.symbols_;
  auto& heap = scratch.heap_;
  const auto later = [](const Scratch::Candidate& a, const Scratch::Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
  };
  const auto at = [&](std::int32_t i) -> Scratch::Symbol& {
    return symbols[static_cast<std::size_t>(i)];
  };
  const auto consider = [&](std::int32_t left, bool keep_heap) {
    if (left < 0 || at(left).next < 0) return;
    const Merge* merge = Find(at(left).id, at(at(left).next).id);
    if (merge == nullptr) return;
    heap.push_back({merge->rank, left, merge->id});
    if (keep_heap) std::push_heap(heap.begin(), heap.end(), later);
  };
  heap.clear();
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i)
    consider(static_cast<std::int32_t>(i), false);
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    const Scratch::Candidate best = heap.front();
    std::pop_heap(heap.begin(), heap.end(), later);
    heap.pop_back();
    Scratch::Symbol& left = at(best.position);
    if (!left.alive || left.next < 0) continue;
    Scratch::Symbol& right = at(left.next);
    const Merge* merge = Find(left.id, right.id);
    if (merge == nullptr || merge->id != best.id) continue;  // one of the two has changed since
    left.id = best.id;
    left.next = right.next;
    right.alive = false;
    if (left.next >= 0) at(left.next).previous = best.position;
    consider(left.previous, true);
    consider(best.position, true);
  }
}

void Bpe::EncodePiece(std::string_view piece, Scratch& scratch,
                      std::vector<std::int32_t>& ids) const {
  if (ignore_merges_) {
    if (const auto whole = TokenToId(piece)) {
      ids.push_back(*whole);
      return;
    }
  }
  FillSymbols(piece, scratch);
  MergeSymbols(scratch);
  for (const Scratch::Symbol& symbol : scratch.symbols_)
    if (symbol.alive) ids.push_back(symbol.id);
}

}  // namespace h1bench::tokenizer

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runner/tokenizer/node.h"

namespace h1bench::tokenizer {

/// Byte-pair encoding: the member "model" of a tokenizer.json. Immutable and thread-safe.
class Bpe {
 public:
  static Result<Bpe> Read(const Node& node);

  /// Working memory of EncodePiece(), kept by the caller so that a text of many pieces allocates
  /// once. For one thread.
  class Scratch;

  /// Appends the ids of one piece. Time O(n log n) in its length.
  void EncodePiece(std::string_view piece, Scratch& scratch, std::vector<std::int32_t>& ids) const;

  std::optional<std::int32_t> TokenToId(std::string_view token) const;
  /// Null when no token has this id.
  const std::string* IdToToken(std::int32_t id) const;
  std::int32_t max_id() const { return by_id_.empty() ? -1 : by_id_.back().first; }
  /// Number of entries, added tokens that have none of their own not counted.
  std::size_t size() const { return by_id_.size(); }

 private:
  struct Merge {
    std::uint64_t pair = kNoPair;
    std::uint32_t rank = 0;
    std::int32_t id = 0;  // of the merged token
  };
  static constexpr std::uint64_t kNoPair = ~std::uint64_t{0};
  static std::uint64_t Pair(std::int32_t a, std::int32_t b) {
    return (std::uint64_t{static_cast<std::uint32_t>(a)} << 32) | static_cast<std::uint32_t>(b);
  }

  Status ReadVocab(const Node& node);
  Status ReadMerges(const Node& node);
  Status ReadUnknown(const Node& node);
  Status AddMerge(const Node& item, std::string_view a, std::string_view b, std::uint32_t rank);
  void Insert(const Merge& merge);
  const Merge* Find(std::int32_t a, std::int32_t b) const;
  /// The id of a single code point, or -1.
  std::int32_t SymbolId(std::string_view symbol) const;
  void FillSymbols(std::string_view piece, Scratch& scratch) const;
  void MergeSymbols(Scratch& scratch) const;

  struct StringHash {
    using is_transparent = void;  // look-ups by string_view
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  std::unordered_map<std::string, std::int32_t, StringHash, std::equal_to<>> ids_;
  std::vector<std::pair<std::int32_t, const std::string*>> by_id_;  // sorted; strings live in ids_
  std::vector<std::int32_t> short_symbols_;  // id of each code point below U+0800, or -1
  std::vector<Merge> merges_;                // open addressing, a power of two, at most half full
  std::int32_t unk_ = -1;
  bool fuse_unk_ = false;
  bool ignore_merges_ = false;
  std::vector<std::int32_t>
      byte_ids_;  // of "<0x00>" to "<0xFF>", -1 where absent; empty without byte_fallback
};

class Bpe::Scratch {
 private:
  friend class Bpe;
  struct Symbol {
    std::int32_t id;
    std::int32_t previous;  // index, -1 at the ends
    std::int32_t next;
    bool alive;
  };
  struct Candidate {
    std::uint32_t rank;
    std::int32_t position;  // of the left symbol
    std::int32_t id;        // of the merged token
  };
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;  // smallest rank first, then leftmost
};

}  // namespace h1bench::tokenizer

#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "runner/engine/prepare.h"

namespace h1bench::engine {

/// One log-probability somebody waits for: target `index` of a request's sequence.
struct Wanted {
  std::int32_t request = 0, sequence = 0, index = 0;
  bool bf16 = false;  // its log-probability is rounded: EngineRequest::bf16_softmax
};

/// A row to read: the logits after the token at `position` (absolute).
struct Row {
  std::int64_t position = 0;
  std::vector<Wanted> wanted;
  std::vector<std::int32_t> targets;  // the ids, one for each of `wanted`
  bool bf16 = false;                  // all logits are read, for EngineRequest::bf16_softmax
};

/// A stretch [begin, end) of tokens computed once. Children go on from its end. A node with
/// children is a junction: its state is kept until all of them have started.
struct Node {
  std::int32_t parent = -1;
  std::int64_t begin = 0, end = 0;
  const Ids* ids = nullptr;            // of a sequence that runs through this node
  std::vector<std::int32_t> children;  // greatest cost first
  std::vector<Row> rows;               // positions in [begin, end), increasing
  std::int32_t generates = -1;  // request whose generation starts at `end`; such a node is a leaf
  std::int64_t max_tokens = 0;  // length its slot may reach
  std::int64_t cost = 0;        // tokens of the node and everything below
  std::int32_t owner = -1;      // request that is charged for the tokens
  std::vector<std::int32_t> requests;  // whose rows or generation are on this node
  std::int64_t tokens() const { return end - begin; }
  bool junction() const { return !children.empty(); }
};

/// What one Run computes: a forest in the order of `order` (depth first, costly trees first), where
/// every parent comes before its children.
struct Plan {
  std::vector<Node> nodes;           // nodes[0] is the empty root at position 0
  std::vector<std::int32_t> order;   // without the root
  std::int64_t fed_tokens = 0;       // prompt tokens that will be computed
  std::int64_t sequence_tokens = 0;  // … without sharing between requests
  std::vector<std::int64_t> reused;  // by request: prompt tokens computed for another
};

struct PlanOptions {
  bool share = true;  // false: nothing is shared between sequences that differ
  /// A junction must save at least so many tokens: it costs a fork (a copy of the state, worth a
  /// few tokens of arithmetic) and tokens that cannot ride in the same Forward as what follows. On
  /// all of MMLU 64 computes 0.7 % more prompt tokens than 16 does, with half the junctions.
  std::int64_t min_saved_tokens = 64;
  std::int64_t slot_bytes_limit = 0;                            // memory for all slots together
  std::function<std::int64_t(std::int64_t tokens)> slot_bytes;  // of one slot
};

/// Sorts the sequences of all accepted requests into a prefix trie, drops the junctions that are
/// not worth their price or do not fit, and says where every row is read. Deterministic, and pure.
Plan BuildPlan(std::span<const Prepared> requests, const PlanOptions& options);

}  // namespace h1bench::engine

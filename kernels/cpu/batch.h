#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/slots.h"

namespace h1bench::cpu {

/// One segment of a Forward, with where its past lies and where its present goes.
struct BatchSegment {
  Slot* slot = nullptr;
  bool keep = true;
  std::int64_t first_row = 0, rows = 0, position = 0;  // position of its first row
  std::shared_ptr<Buffer> state_in, state_out;         // null: zeros; null: not kept
  std::int64_t own_block = 0;      // first KV block that is written by this segment
  std::int64_t scratch_block = 0;  // where its blocks begin in the scratch, for !keep
  /// KV blocks of the layer at hand, all kv heads from each pointer.
  std::vector<std::byte*> blocks;
};

/// The rows of one segment that lie in one block of rows.
struct BatchPiece {
  const BatchSegment* segment;
  std::int64_t first;      // counted from the segment's first row
  std::int64_t row, rows;  // counted from the block's first row
  std::int64_t position() const { return segment->position + first; }
  bool begins() const { return first == 0; }
  bool ends() const { return first + rows == segment->rows; }
};

/// Rows that go through all of a layer before the next ones do, so that what stands between two
/// stages stays in a cache.
struct RowBlock {
  std::int64_t index, first_row, rows;
  std::vector<BatchPiece> pieces;
  std::vector<std::int32_t> piece_of;           // per row
  std::int64_t first_asked = 0, asked_end = 0;  // its part of Batch::asked
};

/// A checked Forward: rows are the tokens of all segments, one after the other.
struct Batch {
  std::vector<BatchSegment> segments;
  std::vector<RowBlock> blocks;
  std::vector<std::int32_t> ids;         // per row
  std::vector<std::int64_t> positions;   // per row
  std::vector<std::int64_t> asked;       // rows with a query, increasing
  std::vector<const RowQuery*> queries;  // of each asked row
  std::int64_t scratch_blocks = 0;       // KV blocks of !keep segments
  std::int64_t rows() const { return static_cast<std::int64_t>(ids.size()); }
};

/// Rows of one block at most.
inline constexpr std::int64_t kBlockRows = 384;

/// Lays out checked segments and makes room in their slots.
Batch MakeBatch(std::span<const Segment> segments, Slots& slots);
/// Points every segment's blocks at one layer; brings the block that a !keep segment continues into
/// the scratch.
void PointAtLayer(Batch& batch, const StateLayout& layout, std::int64_t layer, std::byte* scratch);
/// The slots of keeping segments move on.
void FinishBatch(Batch& batch);

}  // namespace h1bench::cpu

#include "kernels/cpu/batch.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/vector/table.h"

namespace h1bench::cpu {
namespace {

std::int64_t BlocksFor(std::int64_t tokens) { return (tokens + kKvBlock - 1) / kKvBlock; }

void AddRows(const Segment& segment, const BatchSegment& placed, Batch& batch) {
  for (std::size_t i = 0; i < segment.ids.size(); ++i) {
    batch.ids.push_back(segment.ids[i]);
    batch.positions.push_back(placed.position + static_cast<std::int64_t>(i));
  }
  for (const RowQuery& row : segment.rows) {
    batch.asked.push_back(placed.first_row + row.offset);
    batch.queries.push_back(&row);
  }
}

/// The pieces of the rows [block.first_row, block.first_row + block.rows).
void AddPieces(const Batch& batch, RowBlock& block) {
  const std::int64_t end = block.first_row + block.rows;
  for (const BatchSegment& segment : batch.segments) {
    const std::int64_t from = std::max(block.first_row, segment.first_row),
                       to = std::min(end, segment.first_row + segment.rows);
    if (from >= to) continue;
    block.piece_of.insert(block.piece_of.end(), static_cast<std::size_t>(to - from),
                          static_cast<std::int32_t>(block.pieces.size()));
    block.pieces.push_back({&segment, from - segment.first_row, from - block.first_row, to - from});
  }
}

/// Blocks of nearly equal height, full attention tasks in all but the last.
void CutIntoBlocks(Batch& batch) {
  const std::int64_t rows = batch.rows(), count = (rows + kBlockRows - 1) / kBlockRows;
  const std::int64_t height =
      ((rows + count - 1) / count + kQueryRows - 1) / kQueryRows * kQueryRows;
  for (std::int64_t first = 0; first < rows; first += height) {
    RowBlock block;
    block.index = static_cast<std::int64_t>(batch.blocks.size());
    block.first_row = first;
    block.rows = std::min(height, rows - first);
    AddPieces(batch, block);
    const auto asked = [&](std::int64_t row) {
      return std::ranges::lower_bound(batch.asked, row) - batch.asked.begin();
    };
    block.first_asked = asked(first);
    block.asked_end = asked(first + block.rows);
    batch.blocks.push_back(std::move(block));
  }
}

}  // namespace

Batch MakeBatch(std::span<const Segment> segments, Slots& slots) {
  Batch batch;
  for (const Segment& segment : segments) {
    BatchSegment placed;
    placed.slot = slots.Find(segment.slot);
    placed.keep = segment.keep;
    placed.first_row = batch.rows();
    placed.rows = static_cast<std::int64_t>(segment.ids.size());
    placed.position = placed.slot->length;
    placed.own_block = placed.position / kKvBlock;
    const std::int64_t blocks = BlocksFor(placed.position + placed.rows);
    placed.blocks.resize(static_cast<std::size_t>(blocks));
    if (segment.keep) {
      slots.Grow(*placed.slot, placed.rows);
      placed.state_out = slots.WritableState(*placed.slot);
    } else {
      placed.scratch_block = batch.scratch_blocks;
      batch.scratch_blocks += blocks - placed.own_block;
    }
    placed.state_in = placed.slot->state;
    AddRows(segment, placed, batch);
    batch.segments.push_back(std::move(placed));
  }
  CutIntoBlocks(batch);
  return batch;
}

void PointAtLayer(Batch& batch, const StateLayout& layout, std::int64_t layer, std::byte* scratch) {
  for (BatchSegment& segment : batch.segments) {
    const auto count = static_cast<std::int64_t>(segment.blocks.size());
    for (std::int64_t b = 0; b < count; ++b) {
      const bool own = !segment.keep && b >= segment.own_block;
      segment.blocks[static_cast<std::size_t>(b)] =
          own ? scratch + (segment.scratch_block + b - segment.own_block) * layout.kv_layer_bytes
              : segment.slot->pages[static_cast<std::size_t>(b)]->data() +
                    layer * layout.kv_layer_bytes;
    }
    if (segment.keep || segment.position % kKvBlock == 0) continue;
    const auto at = static_cast<std::size_t>(segment.own_block);
    std::memcpy(segment.blocks[at], segment.slot->pages[at]->data() + layer * layout.kv_layer_bytes,
                static_cast<std::size_t>(layout.kv_layer_bytes));
  }
}

void FinishBatch(Batch& batch) {
  for (BatchSegment& segment : batch.segments) {
    if (!segment.keep) continue;
    segment.slot->state = std::move(segment.state_out);
    segment.slot->length += segment.rows;
  }
}

}  // namespace h1bench::cpu

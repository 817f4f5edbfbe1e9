#include "kernels/cpu/batch.h"

#include <cstring>
#include <set>

#include "kernels/cpu/vector/table.h"

namespace h1bench::cpu {
namespace {

Status CheckIds(std::span<const std::int32_t> ids, std::int64_t vocab, std::size_t segment,
                const char* what) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab) {
      return InvalidArgument("segment {}: {} {} is {}, expected 0 to {}", segment, what, i, ids[i],
                             vocab - 1);
    }
  }
  return Status::Ok();
}

Status CheckRows(const Segment& segment, std::int64_t vocab, std::size_t index) {
  std::int64_t before = -1;
  for (const RowQuery& row : segment.rows) {
    if (row.offset <= before || row.offset >= static_cast<std::int64_t>(segment.ids.size())) {
      return InvalidArgument(
          "segment {}: row offset {} after {}, expected increasing offsets below {}", index,
          row.offset, before, segment.ids.size());
    }
    before = row.offset;
    H1_RETURN_IF_ERROR(CheckIds(row.targets, vocab, index, "target"));
  }
  return Status::Ok();
}

Status CheckSegment(const Segment& segment, const Slots& slots, const ModelShape& shape,
                    std::size_t index) {
  const Slot* slot = slots.Find(segment.slot);
  if (slot == nullptr)
    return InvalidArgument("segment {}: there is no slot {}", index, segment.slot);
  if (segment.ids.empty())
    return InvalidArgument("segment {}: no ids; a segment has at least one", index);
  const std::int64_t end = slot->length + static_cast<std::int64_t>(segment.ids.size());
  if (end > slot->max_tokens) {
    return InvalidArgument("segment {}: slot {} has {} tokens and room for {}, {} more were given",
                           index, segment.slot, slot->length, slot->max_tokens, segment.ids.size());
  }
  H1_RETURN_IF_ERROR(CheckIds(segment.ids, shape.vocab, index, "id"));
  return CheckRows(segment, shape.vocab, index);
}

std::int64_t BlocksFor(std::int64_t tokens) { return (tokens + kKvBlock - 1) / kKvBlock; }

void AddRows(const Segment& segment, const BatchSegment& placed, std::int32_t index, Batch& batch) {
  for (std::size_t i = 0; i < segment.ids.size(); ++i) {
    batch.ids.push_back(segment.ids[i]);
    batch.segment_of.push_back(index);
    batch.positions.push_back(placed.position + static_cast<std::int64_t>(i));
  }
  for (const RowQuery& row : segment.rows) {
    batch.asked.push_back(placed.first_row + row.offset);
    batch.queries.push_back(&row);
  }
}

}  // namespace

Status CheckSegments(std::span<const Segment> segments, const Slots& slots, const ModelShape& shape,
                     const BackendOptions& options) {
  std::int64_t tokens = 0, rows = 0;
  std::set<SlotId> seen, kept;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const Segment& segment = segments[i];
    H1_RETURN_IF_ERROR(CheckSegment(segment, slots, shape, i));
    tokens += static_cast<std::int64_t>(segment.ids.size());
    rows += static_cast<std::int64_t>(segment.rows.size());
    const bool again = !seen.insert(segment.slot).second;
    if ((again && segment.keep) || kept.contains(segment.slot)) {
      return InvalidArgument("segment {}: slot {} appears twice and one of the segments keeps", i,
                             segment.slot);
    }
    if (segment.keep) kept.insert(segment.slot);
  }
  if (tokens > options.max_batch_tokens) {
    return InvalidArgument("{} tokens in one Forward; max_batch_tokens is {}", tokens,
                           options.max_batch_tokens);
  }
  if (rows > options.max_batch_rows) {
    return InvalidArgument("{} rows asked for in one Forward; max_batch_rows is {}", rows,
                           options.max_batch_rows);
  }
  return Status::Ok();
}

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
    AddRows(segment, placed, static_cast<std::int32_t>(batch.segments.size()), batch);
    batch.segments.push_back(std::move(placed));
  }
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

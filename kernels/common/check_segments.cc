#include "kernels/common/check_segments.h"

#include <set>

namespace h1bench::common {
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

Status CheckSegment(const Segment& segment, const FindSlot& find, const ModelShape& shape,
                    std::size_t index) {
  const std::optional<SlotRoom> slot = find(segment.slot);
  if (!slot) return InvalidArgument("segment {}: there is no slot {}", index, segment.slot);
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

}  // namespace

Status CheckSegments(std::span<const Segment> segments, const FindSlot& find,
                     const ModelShape& shape, const BackendOptions& options) {
  std::int64_t tokens = 0, rows = 0;
  std::set<SlotId> seen, kept;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const Segment& segment = segments[i];
    H1_RETURN_IF_ERROR(CheckSegment(segment, find, shape, i));
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

}  // namespace h1bench::common

#include "kernels/cuda/batch.h"

#include <algorithm>
#include <cstring>

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr std::int64_t kAlign = 256;

void AddRows(const Segment& segment, const DeviceSegment& placed, std::int32_t index,
             HostBatch& batch) {
  for (std::size_t i = 0; i < segment.ids.size(); ++i) {
    batch.ids.push_back(segment.ids[i]);
    batch.segment_of.push_back(index);
    batch.positions.push_back(static_cast<std::int32_t>(placed.position) +
                              static_cast<std::int32_t>(i));
  }
  for (const RowQuery& row : segment.rows) {
    batch.asked.push_back(placed.first_row + row.offset);
    batch.targets.insert(batch.targets.end(), row.targets.begin(), row.targets.end());
    batch.target_begin.push_back(static_cast<std::int32_t>(batch.targets.size()));
    batch.queries.push_back(&row);
  }
}

/// The tiles with most keys first, so that no multiprocessor is left with one at the end.
void AddTiles(std::int64_t tile_rows, HostBatch& batch) {
  for (std::size_t s = 0; s < batch.segments.size(); ++s) {
    const DeviceSegment& segment = batch.segments[s];
    for (std::int64_t first = 0; first < segment.rows; first += tile_rows)
      batch.tiles.push_back({static_cast<std::int32_t>(s), static_cast<std::int32_t>(first)});
  }
  std::stable_sort(batch.tiles.begin(), batch.tiles.end(),
                   [&](const AttentionTile& a, const AttentionTile& b) {
                     return batch.segments[static_cast<std::size_t>(a.segment)].position + a.first >
                            batch.segments[static_cast<std::size_t>(b.segment)].position + b.first;
                   });
}

/// Writes tables one after the other, each aligned.
class TableWriter {
 public:
  TableWriter(std::byte* host, std::byte* device) : host_(host), device_(device) {}
  template <typename T>
  const T* Add(const std::vector<T>& table) {
    const auto bytes = table.size() * sizeof(T);
    if (host_ != nullptr && bytes > 0) std::memcpy(host_ + used_, table.data(), bytes);
    const auto* at = reinterpret_cast<const T*>(device_ + used_);
    used_ += RoundUp(static_cast<std::int64_t>(bytes), kAlign);
    return at;
  }
  std::int64_t used() const { return used_; }

 private:
  std::byte *host_, *device_;
  std::int64_t used_ = 0;
};

DeviceBatch WriteTables(const HostBatch& batch, TableWriter& writer) {
  DeviceBatch out;
  out.ids = writer.Add(batch.ids);
  out.positions = writer.Add(batch.positions);
  out.segment_of = writer.Add(batch.segment_of);
  out.segments = writer.Add(batch.segments);
  out.asked = writer.Add(batch.asked);
  out.targets = writer.Add(batch.targets);
  out.target_begin = writer.Add(batch.target_begin);
  out.tiles = writer.Add(batch.tiles);
  out.pages = writer.Add(batch.pages);  // last: it grows while a batch decodes, the others stay
  return out;
}

}  // namespace

Result<HostBatch> MakeBatch(std::span<const Segment> segments, Slots& slots, std::int64_t tile_rows,
                            Stream stream) {
  HostBatch batch;
  batch.target_begin.push_back(0);
  for (const Segment& segment : segments) {
    Slot* slot = slots.Find(segment.slot);
    DeviceSegment placed{};
    placed.first_row = static_cast<std::int32_t>(batch.ids.size());
    placed.rows = static_cast<std::int32_t>(segment.ids.size());
    placed.position = slot->length;
    placed.first_page = static_cast<std::int64_t>(batch.pages.size());
    if (slot->state != nullptr) placed.state_in = slot->state->bytes();
    if (slot->recent != nullptr) placed.recent_in = slot->recent->bytes();
    if (segment.keep) {
      H1_RETURN_IF_ERROR(slots.Grow(*slot, placed.rows, stream));
      H1_ASSIGN_OR_RETURN(std::shared_ptr<DeviceMemory> state,
                          slots.WritableState(*slot, placed.rows));
      H1_ASSIGN_OR_RETURN(std::shared_ptr<DeviceMemory> recent, slots.WritableRecent(*slot));
      if (state != nullptr) placed.state_out = state->bytes();
      placed.recent_out = recent->bytes();
      batch.kept.push_back({slot, std::move(state), std::move(recent), placed.rows});
    }
    for (const auto& page : slot->pages) batch.pages.push_back(page->bytes());
    AddRows(segment, placed, static_cast<std::int32_t>(batch.segments.size()), batch);
    batch.segments.push_back(placed);
  }
  AddTiles(tile_rows, batch);
  return batch;
}

std::int64_t TableBytes(std::int64_t rows, std::int64_t segments, std::int64_t pages,
                        std::int64_t targets) {
  return RoundUp(rows * 4, kAlign) * 5 + RoundUp((rows + 1) * 4, kAlign) +
         segments * static_cast<std::int64_t>(sizeof(DeviceSegment)) + pages * 8 + targets * 4 +
         rows * 8 + 8 * kAlign;
}

std::int64_t TableBytes(const HostBatch& batch) {
  TableWriter writer(nullptr, nullptr);
  WriteTables(batch, writer);
  return writer.used();
}

DeviceBatch SendBatch(const HostBatch& batch, std::byte* host, std::byte* device, Stream stream) {
  TableWriter writer(host, device);
  DeviceBatch out = WriteTables(batch, writer);
  CopyToDevice(device, host, writer.used(), stream);
  out.rows = static_cast<std::int64_t>(batch.ids.size());
  out.segment_count = static_cast<std::int64_t>(batch.segments.size());
  out.asked_count = static_cast<std::int64_t>(batch.asked.size());
  out.target_count = static_cast<std::int64_t>(batch.targets.size());
  out.tile_count = static_cast<std::int64_t>(batch.tiles.size());
  out.any_kept = !batch.kept.empty();
  out.step_in_place =
      std::all_of(batch.segments.begin(), batch.segments.end(), [](const DeviceSegment& s) {
        return s.rows == 1 && s.recent_out != nullptr && s.recent_out == s.recent_in;
      });
  return out;
}

void FinishBatch(HostBatch& batch) {
  for (HostBatch::Kept& kept : batch.kept) {
    if (kept.state != nullptr) kept.slot->state = std::move(kept.state);
    kept.slot->recent = std::move(kept.recent);
    kept.slot->length += kept.rows;
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

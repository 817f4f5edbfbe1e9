#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cuda/slots.h"
#include "kernels/cuda/tables.h"

/// One Forward as the kernels read it: tables on the device, made on the host and sent in one copy.
namespace h1bench::H1_CUDA_NAMESPACE {

/// The host's side: the segments placed in their slots, and the tables.
struct HostBatch {
  struct Kept {
    Slot* slot;
    std::shared_ptr<DeviceMemory> state;  // null: stays as it is
    std::shared_ptr<DeviceMemory> recent;
    std::int64_t rows;
  };
  std::vector<Kept> kept;
  std::vector<std::int32_t> ids, positions, segment_of, asked, targets, target_begin;
  std::vector<DeviceSegment> segments;
  std::vector<std::byte*> pages;
  std::vector<AttentionTile> tiles;
  std::vector<const RowQuery*> queries;
};

/// Lays out checked segments and makes room in their slots; kResourceExhausted leaves every slot as
/// it was. `tile_rows`: rows of an attention tile.
Result<HostBatch> MakeBatch(std::span<const Segment> segments, Slots& slots, std::int64_t tile_rows,
                            Stream stream);
/// Bytes of the tables for at most so much; what the staging memory needs.
std::int64_t TableBytes(std::int64_t rows, std::int64_t segments, std::int64_t pages,
                        std::int64_t targets);
/// Bytes of this batch's tables.
std::int64_t TableBytes(const HostBatch& batch);
/// Writes the tables to `host` and sends them to `device`, both large enough.
DeviceBatch SendBatch(const HostBatch& batch, std::byte* host, std::byte* device, Stream stream);
/// The slots of keeping segments move on.
void FinishBatch(HostBatch& batch);

}  // namespace h1bench::H1_CUDA_NAMESPACE

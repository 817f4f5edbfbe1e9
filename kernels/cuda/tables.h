#pragma once

#include "kernels/cuda/layout.h"

/// One Forward's tables as the kernels read them.
namespace h1bench::H1_CUDA_NAMESPACE {

/// One segment. Its keys at positions below `position` lie in pages; its own lie in the rows of
/// this Forward, whether it keeps them or not.
struct DeviceSegment {
  std::int32_t first_row, rows;
  std::int64_t position;       // of its first row
  std::int64_t first_page;     // of its part of DeviceBatch::pages
  const std::byte* state_in;   // null: zeros
  std::byte* state_out;        // null: none to write; may be state_in
  const std::byte* recent_in;  // null: the sequence begins here
  std::byte* recent_out;       // null: not kept; may be recent_in
};

/// A tile of an attention kernel's grid.
struct AttentionTile {
  std::int32_t segment, first;  // first row of the segment
};

/// All pointers are on the device.
struct DeviceBatch {
  const std::int32_t* ids = nullptr;         // per row
  const std::int32_t* positions = nullptr;   // per row
  const std::int32_t* segment_of = nullptr;  // per row
  const DeviceSegment* segments = nullptr;
  std::byte* const* pages = nullptr;
  const std::int32_t* asked = nullptr;         // rows with a query, increasing
  const std::int32_t* targets = nullptr;       // ids wanted, of all asked rows
  const std::int32_t* target_begin = nullptr;  // (asked + 1)
  const AttentionTile* tiles = nullptr;        // long ones first
  std::int64_t rows = 0, segment_count = 0, asked_count = 0, target_count = 0, tile_count = 0;
  bool any_kept = false;
  /// Every segment is one row that its slot's own memory keeps: nothing to bring along from a fork.
  bool step_in_place = false;
  bool operator==(const DeviceBatch&) const = default;
};

}  // namespace h1bench::H1_CUDA_NAMESPACE

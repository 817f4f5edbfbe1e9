#pragma once

#include <cstdint>
#include <memory>

#include "kernels/common/slots.h"
#include "kernels/cpu/buffer.h"

/// What sequences leave behind: keys and values in pages, SSM state and conv tail in one piece.
/// Forks share both until one of the sharers writes.
namespace h1bench::cpu {

/// Sizes of the state of one sequence.
struct StateLayout {
  explicit StateLayout(const ModelShape& shape, bool kv_bf16);

  // KV: a page holds kKvBlock positions of all layers. One layer's part is kv_heads blocks, each K
  // (hd, 16), then V (16, hd padded to 16 lanes).
  bool kv_bf16;
  std::int64_t kv_block_bytes;  // one kv head
  std::int64_t kv_layer_bytes;  // all kv heads of one layer
  std::int64_t page_bytes;      // all layers
  // State: per layer the SSM state of each head (SsdArgs::state_in), then per layer the tail
  // (K - 1, channels) of the conv's inputs, oldest first. All fp32.
  std::int64_t head_floats, ssm_floats, tail_floats, layers;
  std::int64_t layer_floats() const { return ssm_floats + tail_floats; }
  std::int64_t state_bytes() const { return layer_floats() * layers * 4; }
};

using Slot = common::Slot<Buffer>;

/// The slots with the pools their memory comes from.
class Slots : public common::SlotTable<Buffer> {
 public:
  Slots(const StateLayout& layout, std::int64_t max_positions)
      : SlotTable(max_positions),
        layout_(layout),
        pages_(layout.page_bytes),
        states_(layout.state_bytes()) {}

  /// Pages for `tokens` more; a page that a fork also holds is copied before it is written.
  void Grow(Slot& slot, std::int64_t tokens);
  /// A state to write into: the slot's own when nobody shares it, else another, uninitialised.
  std::shared_ptr<Buffer> WritableState(const Slot& slot);

  std::int64_t kv_bytes() const { return pages_.bytes_in_use(); }
  std::int64_t state_bytes() const { return states_.bytes_in_use(); }
  const StateLayout& layout() const { return layout_; }

 private:
  StateLayout layout_;
  common::MemoryPool<Buffer> pages_, states_;
};

}  // namespace h1bench::cpu

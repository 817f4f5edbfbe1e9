#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "kernels/backend.h"
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
  // State: per layer the SSM state (Hs, ceil(P / 16), N, 16) fp32, then per layer the tail (K - 1,
  // channels) fp32 of scaled values before the conv, oldest first.
  std::int64_t head_floats, ssm_floats, tail_floats, layers;
  std::int64_t state_bytes() const { return (ssm_floats + tail_floats) * layers * 4; }
};

/// Memory of one size that is handed back to a list, not to the system. Not thread-safe.
class BufferPool {
 public:
  explicit BufferPool(std::int64_t bytes) : core_(std::make_shared<Core>(bytes)) {}
  std::shared_ptr<Buffer> Take();
  std::int64_t bytes_in_use() const { return core_->in_use * core_->bytes; }

 private:
  struct Core {
    explicit Core(std::int64_t size) : bytes(size) {}
    std::int64_t bytes, in_use = 0;
    std::vector<Buffer> free;
  };
  std::shared_ptr<Core> core_;  // outlives the pool while buffers are out
};

struct Slot {
  std::int64_t length = 0, max_tokens = 0;
  std::vector<std::shared_ptr<Buffer>> pages;
  std::shared_ptr<Buffer> state;  // null: nothing appended yet, all zeros
};

class Slots {
 public:
  explicit Slots(const StateLayout& layout)
      : layout_(layout), pages_(layout.page_bytes), states_(layout.state_bytes()) {}

  SlotId Add(Slot slot);
  void Remove(SlotId id) { slots_.erase(id); }
  Slot* Find(SlotId id);
  const Slot* Find(SlotId id) const;

  /// Pages for `tokens` more; a page that a fork also holds is copied before it is written.
  void Grow(Slot& slot, std::int64_t tokens);
  /// A state to write into: the slot's own when nobody shares it, else another, uninitialised.
  std::shared_ptr<Buffer> WritableState(const Slot& slot);

  std::int64_t kv_bytes() const { return pages_.bytes_in_use(); }
  std::int64_t state_bytes() const { return states_.bytes_in_use(); }
  const StateLayout& layout() const { return layout_; }

 private:
  StateLayout layout_;
  BufferPool pages_, states_;
  std::map<SlotId, Slot> slots_;
  SlotId next_ = 0;
};

}  // namespace h1bench::cpu

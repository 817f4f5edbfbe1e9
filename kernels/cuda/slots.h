#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/layout.h"

/// What sequences leave behind on the device: keys and values in pages, SSM state and conv tail in
/// one piece. Forks share both until one of the sharers writes.
namespace h1bench::H1_CUDA_NAMESPACE {

/// Device memory of one size that is handed back to a list, not to the driver. Not thread-safe.
class MemoryPool {
 public:
  explicit MemoryPool(std::int64_t bytes) : core_(std::make_shared<Core>(bytes)) {}
  Result<std::shared_ptr<DeviceMemory>> Take();
  std::int64_t bytes_in_use() const { return core_->in_use * core_->bytes; }

 private:
  struct Core {
    explicit Core(std::int64_t size) : bytes(size) {}
    std::int64_t bytes, in_use = 0;
    std::vector<DeviceMemory> free;
  };
  std::shared_ptr<Core> core_;  // outlives the pool while memory is out
};

struct Slot {
  std::int64_t length = 0, max_tokens = 0;
  std::vector<std::shared_ptr<DeviceMemory>> pages;
  std::shared_ptr<DeviceMemory> state;  // null: nothing appended yet, all zeros
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
  Status Grow(Slot& slot, std::int64_t tokens, Stream stream);
  /// A state to write into: the slot's own when nobody shares it, else another, uninitialised.
  Result<std::shared_ptr<DeviceMemory>> WritableState(const Slot& slot);

  std::int64_t kv_bytes() const { return pages_.bytes_in_use(); }
  std::int64_t state_bytes() const { return states_.bytes_in_use(); }
  const StateLayout& layout() const { return layout_; }

 private:
  StateLayout layout_;
  MemoryPool pages_, states_;
  std::map<SlotId, Slot> slots_;
  SlotId next_ = 0;
};

}  // namespace h1bench::H1_CUDA_NAMESPACE

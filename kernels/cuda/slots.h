#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/common/slots.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/layout.h"

/// What sequences leave behind on the device: keys and values in pages, the SSM state, and
/// the inputs that the next tokens still need. Forks share them until one of the sharers writes.
namespace h1bench::H1_CUDA_NAMESPACE {

using Slot = common::Slot<DeviceMemory>;
using Pool = common::MemoryPool<DeviceMemory>;

/// KV pages are taken from the driver in slabs of about this size: it rounds small pieces up to
/// 2 MiB, which would nearly double the pages of a small model, and a long context has thousands of
/// them. A plan counts one slab that is not full.
inline constexpr std::int64_t kPageSlabBytes = std::int64_t{64} << 20;
/// Pages of a slab: at least one. Under emulation each page is a heap block of its own, so that a
/// step outside is seen.
std::int64_t SlabPages(std::int64_t page_bytes);

/// The slots with the pools their memory comes from.
class Slots : public common::SlotTable<DeviceMemory> {
 public:
  Slots(const StateLayout& layout, std::int64_t max_positions)
      : SlotTable(max_positions),
        layout_(layout),
        pages_(layout.page_bytes),
        states_(layout.state_bytes()),
        recents_(layout.recent_bytes()) {}

  /// Pages for `tokens` more; a page that a fork also holds is copied before it is written.
  Status Grow(Slot& slot, std::int64_t tokens, Stream stream);
  /// Memory to write into: the slot's own when nobody shares it, else another, uninitialised. The
  /// state is null when `tokens` more end no chunk: it stays as it is then.
  Result<std::shared_ptr<DeviceMemory>> WritableState(const Slot& slot, std::int64_t tokens);
  Result<std::shared_ptr<DeviceMemory>> WritableRecent(const Slot& slot);

  /// A page from the pool, or of a new slab.
  Result<std::shared_ptr<DeviceMemory>> TakePage();

  std::int64_t kv_bytes() const { return pages_.bytes_in_use(); }
  std::int64_t state_bytes() const { return states_.bytes_in_use() + recents_.bytes_in_use(); }
  const StateLayout& layout() const { return layout_; }

 private:
  StateLayout layout_;
  std::vector<DeviceMemory> slab_;  // its pages that nobody had yet
  Pool pages_, states_, recents_;
};

}  // namespace h1bench::H1_CUDA_NAMESPACE

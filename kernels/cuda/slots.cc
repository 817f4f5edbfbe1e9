#include "kernels/cuda/slots.h"

#include <algorithm>

namespace h1bench::H1_CUDA_NAMESPACE {

namespace {

Result<std::shared_ptr<DeviceMemory>> Take(Pool& pool) {
  if (std::optional<DeviceMemory> memory = pool.Reuse()) return pool.Lend(std::move(*memory));
  H1_ASSIGN_OR_RETURN(DeviceMemory memory, DeviceMemory::Allocate(pool.bytes()));
  return pool.Lend(std::move(memory));
}

Result<std::shared_ptr<DeviceMemory>> Writable(const std::shared_ptr<DeviceMemory>& own,
                                               Pool& pool) {
  if (own != nullptr && own.use_count() == 1) return own;
  return Take(pool);
}

}  // namespace

std::int64_t SlabPages(std::int64_t page_bytes) {
#ifdef H1_CUDA_EMULATION
  return page_bytes > 0 ? 1 : 0;
#else
  return std::max<std::int64_t>(1, kPageSlabBytes / page_bytes);
#endif
}

Result<std::shared_ptr<DeviceMemory>> Slots::TakePage() {
  if (std::optional<DeviceMemory> memory = pages_.Reuse()) return pages_.Lend(std::move(*memory));
  Status status;
  // The last of a card's memory goes in smaller slabs.
  for (std::int64_t count = SlabPages(layout_.page_bytes); slab_.empty() && count > 0; count /= 2) {
    Result<DeviceMemory> memory = DeviceMemory::Allocate(count * layout_.page_bytes);
    status = memory.status();
    if (!memory.ok()) continue;
    const auto whole = std::make_shared<const DeviceMemory>(std::move(*memory));
    for (std::int64_t i = count - 1; i >= 0; --i)
      slab_.push_back(DeviceMemory::Part(whole, i * layout_.page_bytes, layout_.page_bytes));
  }
  if (slab_.empty()) return status;
  DeviceMemory page = std::move(slab_.back());
  slab_.pop_back();
  return pages_.Lend(std::move(page));
}

Status Slots::Grow(Slot& slot, std::int64_t tokens, Stream stream) {
  if (slot.length % kPageTokens != 0) {
    auto& last = slot.pages[static_cast<std::size_t>(slot.length / kPageTokens)];
    if (last.use_count() > 1) {
      H1_ASSIGN_OR_RETURN(std::shared_ptr<DeviceMemory> own, TakePage());
      CopyOnDevice(own->bytes(), last->bytes(), layout_.page_bytes, stream);
      last = std::move(own);
    }
  }
  const auto wanted = static_cast<std::size_t>(CeilDiv(slot.length + tokens, kPageTokens));
  while (slot.pages.size() < wanted) {
    H1_ASSIGN_OR_RETURN(std::shared_ptr<DeviceMemory> page, TakePage());
    slot.pages.push_back(std::move(page));
  }
  return Status::Ok();
}

Result<std::shared_ptr<DeviceMemory>> Slots::WritableState(const Slot& slot, std::int64_t tokens) {
  const bool ends_chunk = slot.length / kChunk != (slot.length + tokens) / kChunk;
  if (layout_.chunked && !ends_chunk) return std::shared_ptr<DeviceMemory>();
  return Writable(slot.state, states_);
}

Result<std::shared_ptr<DeviceMemory>> Slots::WritableRecent(const Slot& slot) {
  return Writable(slot.recent, recents_);
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

#include "kernels/cuda/slots.h"

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

Status Slots::Grow(Slot& slot, std::int64_t tokens, Stream stream) {
  if (slot.length % kPageTokens != 0) {
    auto& last = slot.pages[static_cast<std::size_t>(slot.length / kPageTokens)];
    if (last.use_count() > 1) {
      H1_ASSIGN_OR_RETURN(std::shared_ptr<DeviceMemory> own, Take(pages_));
      CopyOnDevice(own->bytes(), last->bytes(), layout_.page_bytes, stream);
      last = std::move(own);
    }
  }
  const auto wanted = static_cast<std::size_t>(CeilDiv(slot.length + tokens, kPageTokens));
  while (slot.pages.size() < wanted) {
    H1_ASSIGN_OR_RETURN(std::shared_ptr<DeviceMemory> page, Take(pages_));
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

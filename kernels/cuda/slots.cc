#include "kernels/cuda/slots.h"

namespace h1bench::H1_CUDA_NAMESPACE {

namespace {

Result<std::shared_ptr<DeviceMemory>> Take(Pool& pool) {
  if (std::optional<DeviceMemory> memory = pool.Reuse()) return pool.Lend(std::move(*memory));
  H1_ASSIGN_OR_RETURN(DeviceMemory memory, DeviceMemory::Allocate(pool.bytes()));
  return pool.Lend(std::move(memory));
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

Result<std::shared_ptr<DeviceMemory>> Slots::WritableState(const Slot& slot) {
  if (slot.state != nullptr && slot.state.use_count() == 1) return slot.state;
  return Take(states_);
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

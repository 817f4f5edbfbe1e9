#include "kernels/cuda/slots.h"

namespace h1bench::H1_CUDA_NAMESPACE {

Result<std::shared_ptr<DeviceMemory>> MemoryPool::Take() {
  DeviceMemory memory;
  if (core_->free.empty()) {
    H1_ASSIGN_OR_RETURN(memory, DeviceMemory::Allocate(core_->bytes));
  } else {
    memory = std::move(core_->free.back());
    core_->free.pop_back();
  }
  ++core_->in_use;
  return std::shared_ptr<DeviceMemory>(new DeviceMemory(std::move(memory)),
                                       [core = core_](DeviceMemory* given_back) {
                                         --core->in_use;
                                         core->free.push_back(std::move(*given_back));
                                         delete given_back;
                                       });
}

SlotId Slots::Add(Slot slot) {
  slots_.emplace(next_, std::move(slot));
  return next_++;
}

Slot* Slots::Find(SlotId id) {
  const auto found = slots_.find(id);
  return found == slots_.end() ? nullptr : &found->second;
}

const Slot* Slots::Find(SlotId id) const {
  const auto found = slots_.find(id);
  return found == slots_.end() ? nullptr : &found->second;
}

Status Slots::Grow(Slot& slot, std::int64_t tokens, Stream stream) {
  if (slot.length % kPageTokens != 0) {
    auto& last = slot.pages[static_cast<std::size_t>(slot.length / kPageTokens)];
    if (last.use_count() > 1) {
      H1_ASSIGN_OR_RETURN(std::shared_ptr<DeviceMemory> own, pages_.Take());
      CopyOnDevice(own->bytes(), last->bytes(), layout_.page_bytes, stream);
      last = std::move(own);
    }
  }
  const auto wanted = static_cast<std::size_t>(CeilDiv(slot.length + tokens, kPageTokens));
  while (slot.pages.size() < wanted) {
    H1_ASSIGN_OR_RETURN(std::shared_ptr<DeviceMemory> page, pages_.Take());
    slot.pages.push_back(std::move(page));
  }
  return Status::Ok();
}

Result<std::shared_ptr<DeviceMemory>> Slots::WritableState(const Slot& slot) {
  if (slot.state != nullptr && slot.state.use_count() == 1) return slot.state;
  return states_.Take();
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

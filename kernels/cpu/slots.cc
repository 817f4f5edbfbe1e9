#include "kernels/cpu/slots.h"

#include <cstring>

#include "kernels/cpu/vector/table.h"

namespace h1bench::cpu {

StateLayout::StateLayout(const ModelShape& s, bool bf16)
    : kv_bf16(bf16),
      kv_block_bytes(kKvBlock * (s.head_dim + PadLanes(s.head_dim)) * (bf16 ? 2 : 4)),
      kv_layer_bytes(kv_block_bytes * s.kv_heads),
      page_bytes(kv_layer_bytes * s.layers),
      head_floats(PadLanes(s.ssm_head_dim) * s.ssm_state),
      ssm_floats(head_floats * s.ssm_heads),
      tail_floats((s.conv_taps - 1) * s.conv_channels()),
      layers(s.layers) {}

std::shared_ptr<Buffer> BufferPool::Take() {
  Buffer buffer;
  if (core_->free.empty()) {
    buffer = Buffer(core_->bytes);
  } else {
    buffer = std::move(core_->free.back());
    core_->free.pop_back();
  }
  ++core_->in_use;
  return {new Buffer(std::move(buffer)), [core = core_](Buffer* given_back) {
            --core->in_use;
            core->free.push_back(std::move(*given_back));
            delete given_back;
          }};
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

void Slots::Grow(Slot& slot, std::int64_t tokens) {
  if (slot.length % kKvBlock != 0) {
    std::shared_ptr<Buffer>& last = slot.pages[static_cast<std::size_t>(slot.length / kKvBlock)];
    if (last.use_count() > 1) {
      std::shared_ptr<Buffer> own = pages_.Take();
      std::memcpy(own->data(), last->data(), static_cast<std::size_t>(layout_.page_bytes));
      last = std::move(own);
    }
  }
  const auto wanted = static_cast<std::size_t>((slot.length + tokens + kKvBlock - 1) / kKvBlock);
  while (slot.pages.size() < wanted) slot.pages.push_back(pages_.Take());
}

std::shared_ptr<Buffer> Slots::WritableState(const Slot& slot) {
  return slot.state != nullptr && slot.state.use_count() == 1 ? slot.state : states_.Take();
}

}  // namespace h1bench::cpu

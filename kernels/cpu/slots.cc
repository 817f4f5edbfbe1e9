#include "kernels/cpu/slots.h"

#include <cstring>

#include "kernels/cpu/vector/table.h"

namespace h1bench::cpu {

StateLayout::StateLayout(const ModelShape& s, bool bf16)
    : kv_bf16(bf16),
      kv_block_bytes(kKvBlock * (s.head_dim + PadLanes(s.head_dim)) * (bf16 ? 2 : 4)),
      kv_layer_bytes(kv_block_bytes * s.kv_heads),
      page_bytes(kv_layer_bytes * s.layers),
      head_floats(SsdStateFloats(s.ssm_head_dim, s.ssm_state)),
      ssm_floats(head_floats * s.ssm_heads),
      tail_floats((s.conv_taps - 1) * s.conv_channels()),
      layers(s.layers) {}

namespace {

std::shared_ptr<Buffer> Take(common::MemoryPool<Buffer>& pool) {
  std::optional<Buffer> memory = pool.Reuse();
  return pool.Lend(memory ? std::move(*memory) : Buffer(pool.bytes()));
}

}  // namespace

void Slots::Grow(Slot& slot, std::int64_t tokens) {
  if (slot.length % kKvBlock != 0) {
    std::shared_ptr<Buffer>& last = slot.pages[static_cast<std::size_t>(slot.length / kKvBlock)];
    if (last.use_count() > 1) {
      std::shared_ptr<Buffer> own = Take(pages_);
      std::memcpy(own->data(), last->data(), static_cast<std::size_t>(layout_.page_bytes));
      last = std::move(own);
    }
  }
  const auto wanted = static_cast<std::size_t>((slot.length + tokens + kKvBlock - 1) / kKvBlock);
  while (slot.pages.size() < wanted) slot.pages.push_back(Take(pages_));
}

std::shared_ptr<Buffer> Slots::WritableState(const Slot& slot) {
  return slot.state != nullptr && slot.state.use_count() == 1 ? slot.state : Take(states_);
}

}  // namespace h1bench::cpu

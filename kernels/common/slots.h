#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "kernels/backend.h"
#include "kernels/common/check_segments.h"

/// What sequences leave behind, whatever the memory it lies in. Forks share all of it until one of
/// the sharers writes; how memory is taken and copied is the backend's.
namespace h1bench::common {

/// Memory of one size that is handed back to a list, not to the system. Not thread-safe.
template <typename Memory>
class MemoryPool {
 public:
  using Shared = std::shared_ptr<Memory>;

  explicit MemoryPool(std::int64_t bytes) : core_(std::make_shared<Core>(bytes)) {}
  /// Memory that was handed back, if there is some.
  std::optional<Memory> Reuse() {
    if (core_->free.empty()) return std::nullopt;
    std::optional<Memory> memory(std::move(core_->free.back()));
    core_->free.pop_back();
    return memory;
  }
  /// Lends out memory of bytes(); the last owner hands it back.
  Shared Lend(Memory memory) {
    ++core_->in_use;
    return Shared(new Memory(std::move(memory)), [core = core_](Memory* given_back) {
      --core->in_use;
      core->free.push_back(std::move(*given_back));
      delete given_back;
    });
  }
  std::int64_t bytes() const { return core_->bytes; }
  std::int64_t bytes_in_use() const { return core_->in_use * core_->bytes; }

 private:
  struct Core {
    explicit Core(std::int64_t size) : bytes(size) {}
    std::int64_t bytes, in_use = 0;
    std::vector<Memory> free;
  };
  std::shared_ptr<Core> core_;  // outlives the pool while memory is out
};

template <typename Memory>
struct Slot {
  std::int64_t length = 0, max_tokens = 0;
  std::vector<std::shared_ptr<Memory>> pages;  // keys and values
  std::shared_ptr<Memory> state;               // of the SSM; null: all zeros
  std::shared_ptr<Memory> recent;  // inputs that `state` does not hold yet, where a backend keeps
                                   // them apart; null: none
};

/// The slots of a backend: Allocate, Fork, Release and Length of backend.h.
template <typename Memory>
class SlotTable {
 public:
  /// max_positions 0: no limit.
  explicit SlotTable(std::int64_t max_positions) : max_positions_(max_positions) {}

  Result<SlotId> Allocate(std::int64_t max_tokens) {
    if (max_tokens < 1 || (max_positions_ > 0 && max_tokens > max_positions_)) {
      return InvalidArgument("a slot of {} tokens: expected 1 to {} (max_position_embeddings)",
                             max_tokens, max_positions_);
    }
    Slot<Memory> slot;
    slot.max_tokens = max_tokens;
    return Add(std::move(slot));
  }

  Result<SlotId> Fork(SlotId from, std::int64_t max_tokens) {
    const Slot<Memory>* slot = Find(from);
    if (slot == nullptr) return InvalidArgument("fork: there is no slot {}", from);
    if (max_tokens < slot->length || (max_positions_ > 0 && max_tokens > max_positions_)) {
      return InvalidArgument(
          "fork of slot {} to {} tokens: expected {} (its length) to {} (max_position_embeddings)",
          from, max_tokens, slot->length, max_positions_);
    }
    Slot<Memory> copy = *slot;
    copy.max_tokens = max_tokens;
    return Add(std::move(copy));
  }

  void Release(SlotId id) { slots_.erase(id); }

  Slot<Memory>* Find(SlotId id) {
    const auto found = slots_.find(id);
    return found == slots_.end() ? nullptr : &found->second;
  }
  const Slot<Memory>* Find(SlotId id) const {
    const auto found = slots_.find(id);
    return found == slots_.end() ? nullptr : &found->second;
  }

  /// 0 when there is no such slot.
  std::int64_t Length(SlotId id) const {
    const Slot<Memory>* slot = Find(id);
    return slot == nullptr ? 0 : slot->length;
  }
  /// What CheckSegments asks.
  FindSlot Rooms() const {
    return [this](SlotId id) -> std::optional<SlotRoom> {
      const Slot<Memory>* slot = Find(id);
      if (slot == nullptr) return std::nullopt;
      return SlotRoom{slot->length, slot->max_tokens};
    };
  }

 private:
  SlotId Add(Slot<Memory> slot) {
    slots_.emplace(next_, std::move(slot));
    return next_++;
  }

  std::int64_t max_positions_;
  std::map<SlotId, Slot<Memory>> slots_;
  SlotId next_ = 0;
};

}  // namespace h1bench::common

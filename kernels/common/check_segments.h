#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "kernels/backend.h"

namespace h1bench::common {

/// Tokens in a slot and room in it.
struct SlotRoom {
  std::int64_t length = 0, max_tokens = 0;
};
using FindSlot = std::function<std::optional<SlotRoom>(SlotId)>;

/// Checks a Forward's segments; refuses with a sentence that names the segment and the value:
/// nothing has changed then.
Status CheckSegments(std::span<const Segment> segments, const FindSlot& find,
                     const ModelShape& shape, const BackendOptions& options);

}  // namespace h1bench::common

#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace h1bench::cpu {

/// What a process needs before the first weight: code, libraries, thread stacks.
inline constexpr std::int64_t kContextBytes = 64LL << 20;

/// Bytes of PackedModel, without packing.
std::int64_t PlanWeights(const ModelShape& shape, Precision precision);

}  // namespace h1bench::cpu

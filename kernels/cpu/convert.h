#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "kernels/cpu/vector/table.h"
#include "kernels/model.h"

/// Stored weights to what the kernels read.
namespace h1bench::cpu {

/// Nearest bf16, ties to even; NaN stays NaN.
inline std::uint16_t ToBf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (value != value) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}
inline float FromBf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
/// Exact, subnormals included.
float FromF16(std::uint16_t bits);

/// Elements [first, first + count) of a stored tensor as `kind`.
void Convert(const TensorView& from, std::int64_t first, std::int64_t count, ActKind kind,
             void* out);
/// The whole tensor in fp32; empty for an absent one.
std::vector<float> ToFloats(const TensorView& from);

}  // namespace h1bench::cpu

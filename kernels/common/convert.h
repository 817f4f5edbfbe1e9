#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "kernels/model.h"

/// Stored numbers to the ones that kernels read.
namespace h1bench::common {

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

/// Elements [first, first + count) of a stored tensor in bf16, or in fp32.
void ConvertToBf16(const TensorView& from, std::int64_t first, std::int64_t count,
                   std::uint16_t* to);
void ConvertToFloats(const TensorView& from, std::int64_t first, std::int64_t count, float* to);
/// The whole tensor in fp32; empty for an absent one.
std::vector<float> ToFloats(const TensorView& from);

}  // namespace h1bench::common

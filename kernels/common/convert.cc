#include "kernels/common/convert.h"

#include <cmath>
#include <cstring>

namespace h1bench::common {
namespace {

float Element(const TensorView& from, std::int64_t index) {
  const std::byte* p =
      from.bytes.data() + index * static_cast<std::int64_t>(DTypeBytes(from.dtype));
  if (from.dtype == DType::kF32) {
    float value;
    std::memcpy(&value, p, sizeof value);
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return from.dtype == DType::kBF16 ? FromBf16(bits) : FromF16(bits);
}

}  // namespace

float FromF16(std::uint16_t bits) {
  const bool negative = (bits & 0x8000U) != 0;
  const int exponent = (bits >> 10) & 0x1F;
  const int fraction = bits & 0x3FF;
  float value;
  if (exponent == 31) {
    value = fraction != 0 ? NAN : INFINITY;
  } else if (exponent == 0) {
    value = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    value = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  }
  return negative ? -value : value;
}

void ConvertToBf16(const TensorView& from, std::int64_t first, std::int64_t count,
                   std::uint16_t* to) {
  if (from.dtype == DType::kBF16) {
    std::memcpy(to, from.bytes.data() + first * 2, static_cast<std::size_t>(count) * 2);
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) to[i] = ToBf16(Element(from, first + i));
}

void ConvertToFloats(const TensorView& from, std::int64_t first, std::int64_t count, float* to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = Element(from, first + i);
}

std::vector<float> ToFloats(const TensorView& from) {
  std::vector<float> out(from.bytes.size() / DTypeBytes(from.dtype));
  ConvertToFloats(from, 0, static_cast<std::int64_t>(out.size()), out.data());
  return out;
}

}  // namespace h1bench::common

#include "kernels/cpu/convert.h"

namespace h1bench::cpu {

void Convert(const TensorView& from, std::int64_t first, std::int64_t count, ActKind kind,
             void* out) {
  if (kind == ActKind::kBf16) {
    common::ConvertToBf16(from, first, count, static_cast<std::uint16_t*>(out));
    return;
  }
  auto* to = static_cast<float*>(out);
  common::ConvertToFloats(from, first, count, to);
  if (kind != ActKind::kF32Rounded) return;
  for (std::int64_t i = 0; i < count; ++i) to[i] = FromBf16(ToBf16(to[i]));
}

}  // namespace h1bench::cpu

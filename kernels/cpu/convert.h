#pragma once

#include "kernels/common/convert.h"
#include "kernels/cpu/vector/table.h"

namespace h1bench::cpu {

using common::FromBf16;
using common::FromF16;
using common::ToBf16;
using common::ToFloats;

/// Elements [first, first + count) of a stored tensor as `kind`.
void Convert(const TensorView& from, std::int64_t first, std::int64_t count, ActKind kind,
             void* out);

}  // namespace h1bench::cpu

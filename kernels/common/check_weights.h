#pragma once

#include "base/status.h"
#include "kernels/model.h"

namespace h1bench::common {

/// Checks that shape and tensors agree (no read past a tensor can follow), naming the tensor that
/// does not. `formulas`: whether matrices may be TensorView::generated.
Status CheckWeights(const ModelShape& shape, const ModelWeights& weights, bool formulas = false);

}  // namespace h1bench::common

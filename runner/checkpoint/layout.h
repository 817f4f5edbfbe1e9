#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/model.h"

namespace h1bench {

/// Called with a tensor's name in Hugging Face's spelling, its shape and its place in the weights.
using TensorVisitor = std::function<Status(
    const std::string& name, const std::vector<std::int64_t>& shape, TensorView& view)>;

/// Visits every tensor that a checkpoint of this shape holds, layer by layer; `weights.layers`
/// grows as it goes, so a config that claims more layers than the file has costs nothing. Stops at
/// the first error. A tied head is not visited.
Status VisitTensors(const ModelShape& shape, ModelWeights& weights, const TensorVisitor& visit);

/// Parameters of a shape. Pure arithmetic.
std::int64_t CountParameters(const ModelShape& shape);

}  // namespace h1bench

#pragma once

#include <cstddef>
#include <memory>

#include "base/status.h"
#include "kernels/model.h"

namespace h1bench {

/// Weights to measure with, of models of one shape with any number of layers and words: all their
/// tensors lie in the same bytes, and those repeat one small block, so that they cost no memory.
class RandomWeights {
 public:
  /// kUnavailable where the largest tensor is too big for that.
  static Result<RandomWeights> Make(const ModelShape& shape);

  /// Of the shape given, but for `layers` and, at most those of that, `vocab`; for sequences of any
  /// length. Good while this lives.
  ModelShape Shape(std::int64_t layers, std::int64_t vocab) const;
  Result<ModelWeights> Weights(const ModelShape& shape) const;

 private:
  ModelShape shape_;
  std::shared_ptr<std::byte> bytes_;
};

}  // namespace h1bench

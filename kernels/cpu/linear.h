#pragma once

#include <cstdint>
#include <span>

#include "kernels/cpu/buffer.h"
#include "kernels/cpu/vector/table.h"
#include "kernels/model.h"

/// Matrix products. A weight is laid out once, in panels of some columns and all of k; a product of
/// any number of rows takes the panels one by one and adds along k in one chain (vector/product.h),
/// so a row's bits do not depend on the other rows or on threads.
namespace h1bench::cpu {

/// A stored matrix placed at (row, column) of a packed one.
struct MatrixPart {
  const TensorView* view;
  std::int64_t row = 0, column = 0;
};

/// One packed weight of n rows and k columns, put together from parts that cover it.
class Linear {
 public:
  Linear() = default;
  Linear(std::int64_t n, std::int64_t k, std::span<const MatrixPart> parts, ActKind kind);

  /// out (rows, n) fp32 = in (rows, k; of the kind) * weight^T.
  void Run(const void* in, float* out, std::int64_t rows) const;
  std::int64_t bytes() const { return weight_.size(); }

 private:
  std::int64_t n_ = 0, k_ = 0;
  ActKind kind_ = ActKind::kF32;
  Buffer weight_;
};

/// Bytes of a packed weight; what Linear will take, without making it.
std::int64_t PackedBytes(std::int64_t n, std::int64_t k, ActKind kind);

}  // namespace h1bench::cpu

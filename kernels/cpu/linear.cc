#include "kernels/cpu/linear.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/threads.h"

namespace h1bench::cpu {
namespace {

/// Rows of one piece of work when there are many: every panel is read again by each.
constexpr std::int64_t kPieceRows = 192;

std::int64_t Up(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }

/// How one weight lies in memory: (steps, columns, step) of a panel.
struct PanelShape {
  PanelShape(std::int64_t k, ActKind kind)
      : columns(Kernels().panel_columns),
        step(kind == ActKind::kBf16 ? 2 : 1),
        number_bytes(kind == ActKind::kF32 ? 4 : 2),
        bytes(Up(k, step) * columns * number_bytes) {}
  std::int64_t columns, step, number_bytes, bytes;
};

/// A row of a part, which is a column of the result, into its panel from `first` on along k.
template <typename T>
void Scatter(const std::vector<std::byte>& row, std::int64_t first, const PanelShape& shape,
             std::int64_t column, std::byte* panel) {
  const auto* from = reinterpret_cast<const T*>(row.data());
  auto* to = reinterpret_cast<T*>(panel);
  const auto count = static_cast<std::int64_t>(row.size() / sizeof(T));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t k = first + i;
    to[(k / shape.step * shape.columns + column) * shape.step + k % shape.step] = from[i];
  }
}

/// Rows of a part that lie in one panel, so that no two threads write to one cache line.
void PackPart(const MatrixPart& part, std::int64_t panel, ActKind kind, const PanelShape& shape,
              std::byte* to) {
  const std::int64_t rows = part.view->shape[0], k = part.view->shape[1];
  const std::int64_t first = std::max(part.row, panel * shape.columns);
  const std::int64_t end = std::min(part.row + rows, (panel + 1) * shape.columns);
  const ActKind stored = shape.number_bytes == 2 ? ActKind::kBf16 : kind;
  std::vector<std::byte> row(static_cast<std::size_t>(k * shape.number_bytes));
  for (std::int64_t n = first; n < end; ++n) {
    Convert(*part.view, (n - part.row) * k, k, stored, row.data());
    const std::int64_t column = n - panel * shape.columns;
    if (shape.number_bytes == 2) {
      Scatter<std::uint16_t>(row, part.column, shape, column, to);
    } else {
      Scatter<float>(row, part.column, shape, column, to);
    }
  }
}

}  // namespace

Linear::Linear(std::int64_t n, std::int64_t k, std::span<const MatrixPart> parts, ActKind kind)
    : n_(n), k_(k), kind_(kind), weight_(PackedBytes(n, k, kind)) {
  const PanelShape shape(k, kind);
  ParallelFor(weight_.size() / shape.bytes, [&](std::int64_t panel) {
    std::byte* to = weight_.data() + panel * shape.bytes;
    std::memset(to, 0, static_cast<std::size_t>(shape.bytes));
    for (const MatrixPart& part : parts) PackPart(part, panel, kind, shape, to);
  });
}

void Linear::Run(const void* in, float* out, std::int64_t rows) const {
  const PanelShape shape(k_, kind_);
  const auto product = kind_ == ActKind::kF32 ? Kernels().product_f32 : Kernels().product_bf16;
  const std::int64_t panels = weight_.size() / shape.bytes;
  const std::int64_t blocks = (rows + kPieceRows - 1) / kPieceRows;
  ParallelFor(panels * blocks, [&](std::int64_t i) {
    const std::int64_t panel = i / blocks, row = i % blocks * kPieceRows;
    const std::int64_t column = panel * shape.columns;
    product({static_cast<const std::byte*>(in) + row * k_ * ActBytes(kind_),
             std::min(kPieceRows, rows - row), k_, weight_.data() + panel * shape.bytes,
             out + row * n_ + column, n_, std::min(shape.columns, n_ - column)});
  });
}

std::int64_t PackedBytes(std::int64_t n, std::int64_t k, ActKind kind) {
  const PanelShape shape(k, kind);
  return Up(n, shape.columns) / shape.columns * shape.bytes;
}

}  // namespace h1bench::cpu

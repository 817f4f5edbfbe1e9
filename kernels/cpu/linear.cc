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

/// Columns of a panel that are laid out together: their rows of the weight lie side by side first.
constexpr std::int64_t kTogether = 16;

/// Row `row` of the weight, put together from the parts that have a piece of it, `to` being zeros.
void PutTogether(std::span<const MatrixPart> parts, std::int64_t row, ActKind stored,
                 std::int64_t number_bytes, std::byte* to) {
  for (const MatrixPart& part : parts) {
    const std::int64_t rows = part.view->shape[0], k = part.view->shape[1];
    if (row < part.row || row >= part.row + rows) continue;
    Convert(*part.view, (row - part.row) * k, k, stored, to + part.column * number_bytes);
  }
}

/// kTogether rows, `stride` bytes apart, to as many columns of a panel, Unit after Unit: what one
/// step along k takes of a row.
template <typename Unit>
void Interleave(const std::byte* rows, std::int64_t stride, std::int64_t units,
                std::int64_t columns, std::byte* to) {
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(Unit));
  for (std::int64_t unit = 0; unit < units; ++unit, to += columns * kBytes) {
    for (std::int64_t row = 0; row < kTogether; ++row)
      std::memcpy(to + row * kBytes, rows + row * stride + unit * kBytes, sizeof(Unit));
  }
}

void PackPanel(std::span<const MatrixPart> parts, std::int64_t first_column, ActKind kind,
               const PanelShape& shape, std::byte* panel) {
  const ActKind stored = shape.number_bytes == 2 ? ActKind::kBf16 : kind;
  const std::int64_t unit_bytes = shape.step * shape.number_bytes;
  const std::int64_t units = shape.bytes / (shape.columns * unit_bytes);
  const std::int64_t stride = units * unit_bytes + 64;  // rows not all in one set of a cache
  std::vector<std::byte> rows(static_cast<std::size_t>(kTogether * stride));
  for (std::int64_t column = 0; column < shape.columns; column += kTogether) {
    std::ranges::fill(rows, std::byte{0});
    for (std::int64_t i = 0; i < kTogether; ++i)
      PutTogether(parts, first_column + column + i, stored, shape.number_bytes,
                  rows.data() + i * stride);
    const auto interleave = unit_bytes == 4 ? Interleave<std::uint32_t> : Interleave<std::uint16_t>;
    interleave(rows.data(), stride, units, shape.columns, panel + column * unit_bytes);
  }
}

}  // namespace

Linear::Linear(std::int64_t n, std::int64_t k, std::span<const MatrixPart> parts, ActKind kind)
    : n_(n), k_(k), kind_(kind), weight_(PackedBytes(n, k, kind)) {
  const PanelShape shape(k, kind);
  ParallelFor(weight_.size() / shape.bytes, [&](std::int64_t panel) {
    PackPanel(parts, panel * shape.columns, kind, shape, weight_.data() + panel * shape.bytes);
  });
}

void Linear::Run(const void* in, float* out, std::int64_t rows) const {
  const PanelShape shape(k_, kind_);
  const auto product = kind_ == ActKind::kF32 ? Kernels().product_f32 : Kernels().product_bf16;
  const std::int64_t panels = weight_.size() / shape.bytes;
  const std::int64_t blocks = (rows + kPieceRows - 1) / kPieceRows;
  const std::int64_t threads = CurrentPool() == nullptr ? 1 : CurrentPool()->threads();
  ParallelFor(panels * blocks, [&](std::int64_t i) {
    const std::int64_t panel = i / blocks, row = i % blocks * kPieceRows;
    // What this thread is likely to take after this piece.
    const std::int64_t next = (i + threads) / blocks;
    const bool other = next != panel && next < panels;
    const std::int64_t column = panel * shape.columns;
    product({static_cast<const std::byte*>(in) + row * k_ * ActBytes(kind_),
             std::min(kPieceRows, rows - row), k_, weight_.data() + panel * shape.bytes,
             other ? weight_.data() + next * shape.bytes : nullptr, out + row * n_ + column, n_,
             std::min(shape.columns, n_ - column)});
  });
}

std::int64_t PackedBytes(std::int64_t n, std::int64_t k, ActKind kind) {
  const PanelShape shape(k, kind);
  return Up(n, shape.columns) / shape.columns * shape.bytes;
}

}  // namespace h1bench::cpu

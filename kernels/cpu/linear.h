#pragma once

#include <algorithm>
#include <cstdint>
#include <dnnl.hpp>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "kernels/cpu/buffer.h"
#include "kernels/cpu/vector/table.h"
#include "kernels/model.h"

/// Matrix products. Every weight is laid out once; every product for any number of rows uses that
/// layout and adds along k in one chain, so a row's bits do not depend on the other rows, on slices
/// or on threads. oneDNN's AVX-512 kernels do that (tests/kernels/linear_test.cc holds them to it).
/// Its AVX2 ones do not (2.6.3: other bits for 1, 7 and 64 rows), so machines without AVX-512 use
/// VectorKernels::gemm.
namespace h1bench::cpu {

inline constexpr std::int64_t kSlice =
    256;  // columns of one piece of work, when rows alone are too few pieces
inline constexpr std::int64_t kProductRows = 64;  // rows of one

/// Rows that a product of `rows` computes: few distinct counts, so few compiled kernels. The rows
/// added are computed and ignored; buffers must have room for them.
std::int64_t RoundRows(std::int64_t rows);

/// Whether products go through oneDNN on this machine.
bool HasOneDnnProducts();
/// Whether bf16 is multiplied as such.
bool HasBf16Products();

/// The products of one weight shape: one compiled kernel per width and number of rows. Not
/// thread-safe.
class Products {
 public:
  Products(std::int64_t n, std::int64_t k, ActKind kind);
  std::int64_t bytes() const;
  /// Lays out (n, k) row-major values of the kind.
  void Pack(const void* rows, std::byte* packed) const;

  /// out (rows, n) fp32 = in (rows, k) * weight^T; both with RoundRows(rows) rows of room.
  void Run(const Buffer& packed, const void* in, float* out, std::int64_t rows);

 private:
  struct Product {
    dnnl::matmul matmul;
    dnnl::memory::desc in, weight, out, scratch;
  };
  /// One piece: rows [row, row + rows) by columns [column, column + width).
  struct Piece {
    std::int64_t row, rows, column, width;
    const Product* product;
  };
  dnnl::memory::desc Layout(std::int64_t width) const;
  dnnl::matmul::primitive_desc Describe(std::int64_t rows, std::int64_t width) const;
  const Product* Prepare(std::int64_t rows, std::int64_t width);
  std::int64_t Offset(std::int64_t column) const;
  std::vector<Piece> Cut(std::int64_t rows);
  void RunPiece(const Piece& piece, const Buffer& packed, const std::byte* in, float* out) const;

  std::int64_t n_, k_;
  ActKind kind_;
  dnnl::memory::data_type type_;
  bool sliceable_ =
      true;  // 64 columns lie together, so a slice of the layout is the layout of the slice
  std::map<std::pair<std::int64_t, std::int64_t>, Product> prepared_;
};

/// Products shared by all weights of equal shape.
class ProductCache {
 public:
  Products* Get(std::int64_t n, std::int64_t k, ActKind kind);

 private:
  std::map<std::pair<std::int64_t, std::int64_t>, std::unique_ptr<Products>> by_shape_;
};

/// A stored matrix placed at (row, column) of a packed one.
struct MatrixPart {
  const TensorView* view;
  std::int64_t row = 0, column = 0;
};

/// One packed weight of n rows and k columns, put together from parts that cover it.
class Linear {
 public:
  Linear() = default;
  Linear(ProductCache& cache, std::int64_t n, std::int64_t k, std::span<const MatrixPart> parts,
         ActKind kind);
  void Run(const void* in, float* out, std::int64_t rows) const {
    products_->Run(weight_, in, out, rows);
  }
  std::int64_t bytes() const { return weight_.size(); }

 private:
  Products* products_ = nullptr;
  Buffer weight_;
};

/// Bytes of a packed weight; what Linear will take, without making it.
std::int64_t PackedBytes(std::int64_t n, std::int64_t k, ActKind kind);

}  // namespace h1bench::cpu

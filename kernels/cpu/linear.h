#pragma once

#include <cstdint>
#include <dnnl.hpp>
#include <map>
#include <memory>
#include <span>
#include <utility>

#include "kernels/cpu/buffer.h"
#include "kernels/cpu/vector/table.h"
#include "kernels/model.h"

/// Matrix products by oneDNN. Every weight is laid out once; the product for any number of rows
/// uses that layout and adds along k in one chain, so a row's bits do not depend on the other rows
/// (tests/kernels/linear_test.cc holds oneDNN to it).
namespace h1bench::cpu {

/// Rows that a product of `rows` computes: few distinct counts, so few compiled kernels. The rows
/// added are computed and ignored; buffers must have room for them.
std::int64_t RoundRows(std::int64_t rows);

/// Whether oneDNN multiplies bf16 on this machine.
bool HasBf16Products();

/// The products of one weight shape, one per number of rows. Not thread-safe.
class Products {
 public:
  Products(std::int64_t n, std::int64_t k, ActKind kind);
  const dnnl::memory::desc& packed() const { return packed_; }
  std::int64_t n() const { return n_; }
  std::int64_t k() const { return k_; }
  dnnl::memory::data_type type() const { return type_; }

  /// out (rows, n) fp32 = in (rows, k) * weight^T; both with RoundRows(rows) rows of room.
  void Run(const Buffer& weight, const void* in, float* out, std::int64_t rows);

 private:
  struct Product {
    dnnl::matmul matmul;
    dnnl::memory::desc in, out, scratch;
  };
  dnnl::matmul::primitive_desc Describe(std::int64_t rows, const dnnl::memory::desc& weight) const;
  Product& ForRows(std::int64_t rows);

  std::int64_t n_, k_;
  dnnl::memory::data_type type_;
  dnnl::memory::desc packed_;
  std::map<std::int64_t, Product> by_rows_;
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

#include "kernels/cpu/linear.h"

#include <cstring>
#include <string_view>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/threads.h"

namespace h1bench::cpu {
namespace {

using dnnl::memory;

dnnl::engine& Engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

/// Streams and scratch are one a thread: slices run side by side.
dnnl::stream& Stream() {
  thread_local dnnl::stream stream(Engine());
  return stream;
}

memory::data_type TypeOf(ActKind kind) {
  return kind == ActKind::kBf16 ? memory::data_type::bf16 : memory::data_type::f32;
}

std::byte* Scratch(std::size_t bytes) {
  thread_local Buffer buffer;
  if (static_cast<std::size_t>(buffer.size()) < bytes) {
    buffer = Buffer(static_cast<std::int64_t>(bytes));
  }
  return buffer.data();
}

void CopyPart(const MatrixPart& part, std::int64_t k, ActKind kind, std::byte* to) {
  const std::int64_t rows = part.view->shape[0], columns = part.view->shape[1];
  ParallelFor(rows, [&](std::int64_t row) {
    const std::int64_t at = ((part.row + row) * k + part.column) * ActBytes(kind);
    Convert(*part.view, row * columns, columns, kind, to + at);
  });
}

}  // namespace

std::int64_t RoundRows(std::int64_t rows) {
  const std::int64_t step = rows <= 16 ? 1 : rows <= 64 ? 8 : rows <= 512 ? 32 : 64;
  return (rows + step - 1) / step * step;
}

bool HasOneDnnProducts() {
  static const bool here = std::string_view(Kernels().name) == "x86-64-v4" &&
                           dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core;
  return here;
}

bool HasBf16Products() {
#if defined(__x86_64__)
  // oneDNN would emulate bf16 on older AVX-512 machines, slower than fp32: ask for the real
  // instruction.
  return HasOneDnnProducts() && __builtin_cpu_supports("avx512bf16") != 0 &&
         dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_bf16;
#else
  return false;
#endif
}

Products::Products(std::int64_t n, std::int64_t k, ActKind kind)
    : n_(n), k_(k), kind_(kind), type_(TypeOf(kind)) {
  if (!HasOneDnnProducts()) return;
  const memory::desc full = Layout(n);
  const auto& blocking = full.data.format_desc.blocking;
  std::int64_t columns = 1;  // of an inner block
  for (int i = 0; i < blocking.inner_nblks; ++i) {
    if (blocking.inner_idxs[i] == 1) columns *= blocking.inner_blks[i];
  }
  sliceable_ = n > kSlice && columns == 64 &&
               full.get_size() ==
                   static_cast<std::size_t>((n + 63) / 64 * blocking.strides[1] * ActBytes(kind)) &&
               Layout(kSlice).get_size() == static_cast<std::size_t>(Offset(kSlice));
}

/// oneDNN's own choice for a weight of this width. It does not depend on the number of rows.
memory::desc Products::Layout(std::int64_t width) const {
  const memory::desc in({kProductRows, k_}, type_, memory::format_tag::ab);
  const memory::desc out({kProductRows, width}, memory::data_type::f32, memory::format_tag::ab);
  const memory::desc any({k_, width}, type_, memory::format_tag::any);
  return dnnl::matmul::primitive_desc(dnnl::matmul::desc(in, any, out), Engine()).weights_desc();
}

dnnl::matmul::primitive_desc Products::Describe(std::int64_t rows, std::int64_t width) const {
  const memory::desc in({rows, k_}, type_, memory::format_tag::ab);
  const memory::desc out({rows, width}, memory::data_type::f32, memory::format_tag::ab);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::matmul::primitive_desc product(dnnl::matmul::desc(in, Layout(width), out), attributes,
                                       Engine());
  if (!std::string_view(product.impl_info_str()).starts_with("brg:avx512")) {
    // Another implementation may add in an order that depends on the rows.
    throw dnnl::error(dnnl_unimplemented, "oneDNN chose a matmul that is not known to be exact");
  }
  return product;
}

const Products::Product* Products::Prepare(std::int64_t rows, std::int64_t width) {
  if (!HasOneDnnProducts()) return nullptr;
  auto found = prepared_.find({rows, width});
  if (found == prepared_.end()) {
    const auto d = Describe(rows, width);
    found = prepared_
                .emplace(std::pair(rows, width),
                         Product{dnnl::matmul(d), d.src_desc(), d.weights_desc(), d.dst_desc(),
                                 d.scratchpad_desc()})
                .first;
  }
  return &found->second;
}

std::int64_t Products::bytes() const {
  return HasOneDnnProducts() ? static_cast<std::int64_t>(Layout(n_).get_size())
                             : PadLanes(n_) * k_ * 4;
}

/// Bytes before a column that is a multiple of 64.
std::int64_t Products::Offset(std::int64_t column) const {
  return HasOneDnnProducts() ? PackedBytes(column, k_, kind_) : column * k_ * 4;
}

void Products::Pack(const void* rows, std::byte* packed) const {
  if (HasOneDnnProducts()) {
    memory from({{k_, n_}, type_, memory::format_tag::ba}, Engine(), const_cast<void*>(rows));
    memory to(Layout(n_), Engine(), packed);
    dnnl::reorder(from, to).execute(Stream(), from, to);
    Stream().wait();
    return;
  }
  // Panels of 16 columns: (k, 16).
  const auto* values = static_cast<const float*>(rows);
  auto* to = reinterpret_cast<float*>(packed);
  ParallelFor(PadLanes(n_), [&](std::int64_t column) {
    float* panel = to + column / 16 * 16 * k_ + column % 16;
    for (std::int64_t i = 0; i < k_; ++i) panel[i * 16] = column < n_ ? values[column * k_ + i] : 0;
  });
}

/// Blocks of rows, and slices of columns too when there are too few blocks for the threads.
std::vector<Products::Piece> Products::Cut(std::int64_t rows) {
  const std::int64_t blocks = (rows + kProductRows - 1) / kProductRows;
  const std::int64_t threads = CurrentPool() == nullptr ? 1 : CurrentPool()->threads();
  const bool slice = sliceable_ && threads > 1 && blocks < 2 * threads;
  std::vector<Piece> pieces;
  const std::int64_t width = slice ? kSlice : n_;
  for (std::int64_t column = 0; column < n_; column += width) {
    for (std::int64_t row = 0; row < rows; row += kProductRows) {
      Piece piece{row, std::min(kProductRows, rows - row), column, std::min(width, n_ - column),
                  nullptr};
      piece.product = Prepare(RoundRows(piece.rows), piece.width);
      pieces.push_back(piece);
    }
  }
  return pieces;
}

void Products::RunPiece(const Piece& piece, const Buffer& packed, const std::byte* in,
                        float* out) const {
  const std::byte* source = in + piece.row * k_ * ActBytes(kind_);
  const std::byte* weight = packed.data() + Offset(piece.column);
  float* result = out + piece.row * n_ + piece.column;
  if (piece.product == nullptr) {
    Kernels().gemm(reinterpret_cast<const float*>(source), piece.rows, k_,
                   reinterpret_cast<const float*>(weight), piece.width, result, n_);
    return;
  }
  const Product& product = *piece.product;
  // oneDNN's kernels write whole rows only: a slice goes through a small buffer.
  const bool direct = piece.width == n_;
  const std::int64_t scratch_bytes =
      (static_cast<std::int64_t>(product.scratch.get_size()) + 63) / 64 * 64;
  std::byte* scratch =
      Scratch(static_cast<std::size_t>(scratch_bytes) + (direct ? 0 : product.out.get_size()));
  float* dense = direct ? result : reinterpret_cast<float*>(scratch + scratch_bytes);
  product.matmul.execute(
      Stream(),
      {{DNNL_ARG_SRC, memory(product.in, Engine(), const_cast<std::byte*>(source))},
       {DNNL_ARG_WEIGHTS, memory(product.weight, Engine(), const_cast<std::byte*>(weight))},
       {DNNL_ARG_DST, memory(product.out, Engine(), dense)},
       {DNNL_ARG_SCRATCHPAD, memory(product.scratch, Engine(), scratch)}});
  Stream().wait();
  for (std::int64_t row = 0; !direct && row < piece.rows; ++row) {
    std::memcpy(result + row * n_, dense + row * piece.width,
                static_cast<std::size_t>(piece.width) * 4);
  }
}

void Products::Run(const Buffer& packed, const void* in, float* out, std::int64_t rows) {
  const std::vector<Piece> pieces = Cut(rows);
  ParallelFor(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t i) {
    RunPiece(pieces[static_cast<std::size_t>(i)], packed, static_cast<const std::byte*>(in), out);
  });
}

Products* ProductCache::Get(std::int64_t n, std::int64_t k, ActKind kind) {
  auto& products = by_shape_[{n, k}];
  if (products == nullptr) products = std::make_unique<Products>(n, k, kind);
  return products.get();
}

Linear::Linear(ProductCache& cache, std::int64_t n, std::int64_t k,
               std::span<const MatrixPart> parts, ActKind kind)
    : products_(cache.Get(n, k, kind)) {
  Buffer plain(n * k * ActBytes(kind));
  for (const MatrixPart& part : parts) CopyPart(part, k, kind, plain.data());
  weight_ = Buffer(products_->bytes());
  products_->Pack(plain.data(), weight_.data());
}

std::int64_t PackedBytes(std::int64_t n, std::int64_t k, ActKind kind) {
  const auto up = [](std::int64_t value, std::int64_t step) {
    return (value + step - 1) / step * step;
  };
  if (!HasOneDnnProducts()) return up(n, 16) * k * 4;
  return up(n, 64) * up(k, kind == ActKind::kBf16 ? 32 : 16) * ActBytes(kind);
}

}  // namespace h1bench::cpu

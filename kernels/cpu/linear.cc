#include "kernels/cpu/linear.h"

#include "kernels/cpu/convert.h"
#include "kernels/cpu/threads.h"

namespace h1bench::cpu {
namespace {

using dnnl::memory;

dnnl::engine& Engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& Stream() {
  static dnnl::stream stream(Engine());
  return stream;
}

memory::data_type TypeOf(ActKind kind) {
  return kind == ActKind::kBf16 ? memory::data_type::bf16 : memory::data_type::f32;
}

/// One scratch memory for all products: they run one after the other.
void* Scratch(std::size_t bytes) {
  static Buffer buffer;
  if (static_cast<std::size_t>(buffer.size()) < bytes)
    buffer = Buffer(static_cast<std::int64_t>(bytes));
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

bool HasBf16Products() {
#if defined(__x86_64__)
  // oneDNN would emulate bf16 on older AVX-512 machines, slower than fp32: ask for the real
  // instruction.
  return __builtin_cpu_supports("avx512bf16") != 0 &&
         dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_bf16;
#else
  return false;
#endif
}

Products::Products(std::int64_t n, std::int64_t k, ActKind kind)
    : n_(n), k_(k), type_(TypeOf(kind)) {
  packed_ = Describe(512, memory::desc({k, n}, type_, memory::format_tag::any)).weights_desc();
}

dnnl::matmul::primitive_desc Products::Describe(std::int64_t rows,
                                                const memory::desc& weight) const {
  const memory::desc in({rows, k_}, type_, memory::format_tag::ab);
  const memory::desc out({rows, n_}, memory::data_type::f32, memory::format_tag::ab);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return {dnnl::matmul::desc(in, weight, out), attributes, Engine()};
}

Products::Product& Products::ForRows(std::int64_t rows) {
  auto found = by_rows_.find(rows);
  if (found == by_rows_.end()) {
    const auto described = Describe(rows, packed_);
    found = by_rows_
                .emplace(rows, Product{dnnl::matmul(described), described.src_desc(),
                                       described.dst_desc(), described.scratchpad_desc()})
                .first;
  }
  return found->second;
}

void Products::Run(const Buffer& weight, const void* in, float* out, std::int64_t rows) {
  if (rows == 0) return;
  Product& product = ForRows(RoundRows(rows));
  const memory source(product.in, Engine(), const_cast<void*>(in));
  const memory packed(packed_, Engine(), weight.data());
  const memory result(product.out, Engine(), out);
  const memory scratch(product.scratch, Engine(), Scratch(product.scratch.get_size()));
  product.matmul.execute(Stream(), {{DNNL_ARG_SRC, source},
                                    {DNNL_ARG_WEIGHTS, packed},
                                    {DNNL_ARG_DST, result},
                                    {DNNL_ARG_SCRATCHPAD, scratch}});
  Stream().wait();
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
  weight_ = Buffer(static_cast<std::int64_t>(products_->packed().get_size()));
  memory from({{k, n}, products_->type(), memory::format_tag::ba}, Engine(), plain.data());
  memory to(products_->packed(), Engine(), weight_.data());
  dnnl::reorder(from, to).execute(Stream(), from, to);
  Stream().wait();
}

std::int64_t PackedBytes(std::int64_t n, std::int64_t k, ActKind kind) {
  const auto up = [](std::int64_t value, std::int64_t step) {
    return (value + step - 1) / step * step;
  };
  return up(n, 64) * up(k, kind == ActKind::kBf16 ? 32 : 16) * ActBytes(kind);
}

}  // namespace h1bench::cpu

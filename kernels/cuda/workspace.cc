#include "kernels/cuda/workspace.h"

#include <algorithm>

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

struct Piece {
  void** to;
  std::int64_t bytes;
};

template <typename T>
Piece Of(T*& to, std::int64_t bytes) {
  return {reinterpret_cast<void**>(&to), bytes};
}

/// All buffers and their sizes: the one list that Create and Bytes read.
std::vector<Piece> Pieces(const ModelShape& s, const BackendOptions& options, Buffers& b,
                          HeadRow*& head_rows) {
  const Dims d(s);
  const bool chunked = HasScanChunked(s, options.precision == Precision::kBf16);
  const std::int64_t rows = options.max_batch_tokens,
                     in = options.precision == Precision::kBf16 ? 2 : 4;
  const std::int64_t asked = std::min(options.max_batch_rows, options.max_batch_tokens);
  const std::int64_t mixed = RoundUp(d.ssm_inner + s.query_rows(), kPadK);
  return {
      Of(b.x, rows * d.hidden * 4),
      Of(b.normed, rows * RoundUp(d.hidden, kPadK) * in),
      Of(b.wide, rows * d.wide * 4),
      Of(b.conv, rows * d.channels * (chunked ? 2 : 4)),
      Of(b.q, rows * s.query_rows() * in),
      Of(b.k, rows * s.key_rows() * in),
      Of(b.v, rows * s.key_rows() * in),
      Of(b.dt, rows * d.ssm_heads * 4),
      Of(b.decay, chunked ? 0 : rows * d.ssm_heads * 4),
      Of(b.y, d.gated_norm ? rows * d.ssm_inner * 4 : 0),
      Of(b.mixed, rows * mixed * in),
      Of(b.swiglu, rows * RoundUp(d.intermediate, kPadK) * in),
      Of(b.cos, rows * d.head_dim / 2 * 4),
      Of(b.sin, rows * d.head_dim / 2 * 4),
      Of(b.last_x, asked * d.hidden * 4),
      Of(b.last_mixed, asked * mixed * in),
      Of(b.logits, std::min(kLogitRows, asked) * d.vocab * 4),
      Of(head_rows, asked * static_cast<std::int64_t>(sizeof(HeadRow))),
  };
}

}  // namespace

std::int64_t Workspace::Bytes(const ModelShape& shape, const BackendOptions& options) {
  Buffers buffers{};
  HeadRow* rows = nullptr;
  std::int64_t bytes = 0;
  for (const Piece& piece : Pieces(shape, options, buffers, rows)) bytes += piece.bytes;
  return bytes;
}

Result<Workspace> Workspace::Create(const ModelShape& shape, const BackendOptions& options,
                                    Stream stream) {
  Workspace out;
  for (const Piece& piece : Pieces(shape, options, out.buffers_, out.head_rows_)) {
    H1_ASSIGN_OR_RETURN(DeviceMemory memory, DeviceMemory::Allocate(piece.bytes));
    FillZero(memory.bytes(), piece.bytes, stream);  // the padding along k stays zero for ever
    *piece.to = memory.bytes();
    out.bytes_ += piece.bytes;
    out.memory_.push_back(std::move(memory));
  }
  return out;
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

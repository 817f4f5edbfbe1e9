#pragma once

#include "kernels/cuda/recent.h"
#include "kernels/cuda/tensor.h"

/// What a block of scan_chunked.cu or scan_wgmma.cu has of a chunk in shared memory, and how it
/// comes there.
namespace h1bench::H1_CUDA_NAMESPACE::chunked {

#if defined(__CUDACC__) || defined(H1_CUDA_EMULATION)

inline constexpr int kThreads = 128, kColumns = 64, kTile = 16, kTiles = kChunk / kTile;

/// kRows: rows that the call asks for, which begin at a multiple of kTile: all of a chunk (kChunk)
/// or the one tile (kTile) in which every segment's only row lies.
template <int kState, int kRows>
struct Shared {
  static constexpr int kRowsAtOnce = kRows;
  unsigned char b[kChunk * kState * 2], c[kRows * kState * 2];         // bf16, in swizzled panels
  unsigned char x[kChunk * kColumns * 2], scores[kRows * kChunk * 2];  // bf16, swizzled
  float dt[kChunk], sum[kChunk], fold[kChunk];  // sum: s log2(e); fold: exp(s_63 - s_j) dt_j
};

/// Where a block works.
struct Place {
  int head, group, column;  // first column p of the inner ones
  int warp, lane;
  std::int64_t layer;
};

/// A chunk of the segment: positions [first, first + valid), of which those from `fresh` on are
/// new.
struct Chunk {
  std::int64_t first, first_row;  // row of this Forward at which the chunk would begin
  int fresh, valid;
};

/// The chunk that begins at position `first`.
H1_DEVICE Chunk ChunkAt(const DeviceSegment& segment, std::int64_t first) {
  const std::int64_t before = segment.position - first;
  const std::int64_t left = segment.position + segment.rows - first;
  return {first, segment.first_row - before, before > 0 ? static_cast<int>(before) : 0,
          left < kChunk ? static_cast<int>(left) : kChunk};
}

/// A lane's address for LoadMatrix4 in swizzled panels: row `row`, and of the 16 columns [16 k, +
/// 16) the first or second half.
struct LanePlace {
  unsigned row_bytes, turn;
  H1_DEVICE LanePlace(int row, int half)
      : row_bytes(static_cast<unsigned>(row) * 128),
        turn((static_cast<unsigned>(half) ^ (static_cast<unsigned>(row) & 7U)) << 4) {}
  /// `rows`: a multiple of 8 further down; of panels of kPanelRows.
  template <int kPanelRows = kChunk>
  H1_DEVICE unsigned At(int k, int rows) const {
    const auto n = static_cast<unsigned>(k);
    return n / 4 * (kPanelRows * 128) + row_bytes + static_cast<unsigned>(rows) * 128 +
           (turn ^ (n % 4 * 32));
  }
};
/// For a product's first operand, and for a second one that lies with k down its rows.
H1_DEVICE LanePlace Rows16(int lane) { return {lane % 16, lane / 16}; }
/// For a second operand that lies with k along its rows; or a first one with k down them.
H1_DEVICE LanePlace Rows8(int lane) { return {lane / 16 * 8 + lane % 8, lane / 8 % 2}; }

/// Copies of a chunk that is all there and all new: nothing to ask on the way.
template <int kPieces>
H1_DEVICE void CopyRows(const Bf16* from, std::int64_t stride, unsigned char* to) {
  constexpr int kRows = kThreads / kPieces;
  const int piece = static_cast<int>(threadIdx.x) % kPieces;
  const int row = static_cast<int>(threadIdx.x) / kPieces;
  const Bf16* source = from + row * stride + piece * 8;
  H1_UNROLL
  for (int i = 0; i < kChunk / kRows; ++i) {
    CopyAsync16(to + PanelSwizzled(row + i * kRows, piece, kChunk), source);
    source += kRows * stride;
  }
}

/// The same for rows [first, end) with zeros past the last token, and tokens before the new ones
/// from `recent`, if there. `to`: panels of kRows rows, the first of which is row `first`.
template <int kPieces, int kRows>
H1_DEVICE void CopySome(const Bf16* from, std::int64_t stride, const Bf16* recent,
                        std::int64_t recent_stride, const Chunk& chunk, int first, int end,
                        unsigned char* to) {
  for (int i = static_cast<int>(threadIdx.x); i < (end - first) * kPieces; i += kThreads) {
    const int row = first + i / kPieces, piece = i % kPieces;
    unsigned char* const place = to + PanelSwizzled(row - first, piece, kRows);
    if (row >= chunk.valid) {
      *reinterpret_cast<uint4*>(place) = make_uint4(0, 0, 0, 0);
    } else if (row >= chunk.fresh) {
      CopyAsync16(place, from + row * stride + piece * 8);
    } else if (recent != nullptr) {
      CopyAsync16(place, recent + row * recent_stride + piece * 8);
    }
  }
}

/// x (kWidth columns) and B of the chunk's tokens, C of the new ones, by kThreads threads: on their
/// way on return. C has kRows rows, as Shared's.
template <int kState, int kRows, int kWidth, typename To>
H1_DEVICE void CopyChunk(const Dims& d, const StateLayout& layout, const Buffers& buffers,
                         const DeviceSegment& segment, const Place& at, const Chunk& chunk,
                         To& to) {
  constexpr int kPieces = kState / 8;
  const std::int64_t b = d.ssm_inner + at.group * kState, c = b + d.ssm_groups * kState;
  const Bf16* const from = static_cast<const Bf16*>(buffers.conv) + chunk.first_row * d.channels;
  if (kRows == kChunk && chunk.fresh == 0 && chunk.valid == kChunk) {
    CopyRows<kPieces>(from + b, d.channels, to.b);
    CopyRows<kPieces>(from + c, d.channels, to.c);
    CopyRows<kWidth / 8>(from + at.column, d.channels, to.x);
  } else {
    const Bf16* const recent =
        chunk.fresh > 0 ? RecentColumns(layout, segment.recent_in, 0, at.layer) : from;
    const std::int64_t stride = layout.chunk_columns;
    // One tile of rows: nobody reads the tiles after it, unless the chunk ends.
    const int first = kRows == kChunk ? 0 : chunk.fresh / kTile * kTile;
    const int end = kRows == kChunk ? kChunk : first + kTile;
    CopySome<kPieces, kChunk>(from + b, d.channels, recent + b, stride, chunk, 0, end, to.b);
    CopySome<kPieces, kRows>(from + c, d.channels, nullptr, 0, chunk, first, end, to.c);
    CopySome<kWidth / 8, kChunk>(from + at.column, d.channels, recent + at.column, stride, chunk, 0,
                                 end, to.x);
  }
  CopyCommit();
}

/// Time steps of the chunk's tokens `lane` and `lane` + 32; 0 past the last.
H1_DEVICE void LoadSteps(const Dims& d, const StateLayout& layout, const Buffers& buffers,
                         const DeviceSegment& segment, const Place& at, const Chunk& chunk,
                         float (&dt)[2]) {
  H1_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int row = half * kWarp + at.lane;
    dt[half] = 0;
    if (row < chunk.fresh) {
      dt[half] = RecentSteps(layout, segment.recent_in, row, at.layer)[at.head];
    } else if (row < chunk.valid) {
      dt[half] = buffers.dt[(chunk.first_row + row) * d.ssm_heads + at.head];
    }
  }
}

/// Time steps, the sums s of dt A, and what a token weighs at the chunk's end. By one warp; a sum
/// is a fixed tree over the tokens up to its own. `a`: A log2(e).
template <typename Shared>
H1_DEVICE void SumSteps(const float (&dt)[2], float a, int lane, Shared& to) {
  float sum[2] = {dt[0] * a, dt[1] * a};
  H1_UNROLL
  for (int by = 1; by < kWarp; by *= 2) {
    H1_UNROLL
    for (int half = 0; half < 2; ++half) {
      const float before = __shfl_sync(kAllLanes, sum[half], lane >= by ? lane - by : 0);
      if (lane >= by) sum[half] = sum[half] + before;
    }
  }
  sum[1] = sum[1] + __shfl_sync(kAllLanes, sum[0], kWarp - 1);
  const float end = __shfl_sync(kAllLanes, sum[1], kWarp - 1);
  H1_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int row = half * kWarp + lane;
    to.dt[row] = dt[half];
    to.sum[row] = sum[half];
    to.fold[row] = Exp2(end - sum[half]) * dt[half];
  }
}

#endif

}  // namespace h1bench::H1_CUDA_NAMESPACE::chunked

// The SSM in chunks of 64 tokens on the tensor cores (the state-space dual form of Mamba-2, Dao and
// Gu 2024, section 6). With a_t = dt_t A, s_t the sum of a over the chunk up to t and S the state at
// the chunk's start:
//
//     y_t = exp(s_t) S C_t + sum over j <= t of (C_t B_j) exp(s_t - s_j) dt_j x_j + D x_t
//     S'  = exp(s_63) S + sum over j of exp(s_63 - s_j) dt_j x_j B_j^T
//
// Chunks begin at multiples of 64 positions whatever the cut. A call that begins inside a chunk goes
// through that chunk again from its start's state and its tokens' kept inputs, but only for the 16
// rows at a time that hold new tokens; a row's chain of products is the same in every call, so
// prefill, any pieces and decode give the same bits, and decode never writes a state but once in 64
// tokens. B, C and x are bf16; sums are fp32; the state, weights and scores go into products as tf32.
// Tokens after a row add exact zeros to it, unless they are infinite.
//
// A block owns 64 columns p of one head, each of its four warps 16 of them with all N of the state in
// registers, where they lie as fragments of a product's result. The same registers are the next
// product's operand: slots t and t + 4 along its k hold states 2t and 2t + 1, for both operands.
#include "kernels/cuda/recent.h"
#include "kernels/cuda/scan.h"
#include "kernels/cuda/tensor.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 128, kWarps = 4, kColumns = 64;
constexpr int kScoreWidth = kChunk + 8;  // floats of a row, so that eight rows lie in other banks

template <int kState>
struct Shared {
  unsigned char b[kChunk * kState * 2], c[kChunk * kState * 2];  // bf16, PanelSwizzled
  unsigned char x[kChunk * kColumns * 2];                        // bf16, Swizzled
  float scores[kChunk][kScoreWidth];                             // tf32
  float dt[kChunk], sum[kChunk], fold[kChunk];                   // fold: exp(s_63 - s_j) dt_j
};

/// Where a block works.
struct Place {
  std::int64_t head, group, column;  // first column p of the inner ones
  std::int64_t layer;
  int warp, lane;
};

/// A chunk of the segment: positions [first, first + valid), of which those from `fresh` on are new.
struct Chunk {
  std::int64_t first;
  int fresh, valid;
};

/// x and B of the chunk's tokens (zeros past the last), C of the new ones: on their way on return.
template <int kState>
H1_DEVICE void CopyChunk(const Dims& d, const StateLayout& layout, const Buffers& buffers,
                         const DeviceSegment& segment, const Place& at, const Chunk& chunk,
                         Shared<kState>& to) {
  constexpr int kPieces = kState / 8, kXPieces = kColumns / 8;
  const std::int64_t b_column = d.ssm_inner + at.group * kState;
  const std::int64_t c_column = b_column + d.ssm_groups * kState;
  const Bf16* const fresh = static_cast<const Bf16*>(buffers.conv) +
                            (segment.first_row + chunk.first - segment.position) * d.channels;
  for (int i = static_cast<int>(threadIdx.x); i < kChunk * (kPieces + kXPieces); i += kThreads) {
    const int row = i / (kPieces + kXPieces), piece = i % (kPieces + kXPieces);
    const bool is_b = piece < kPieces;
    unsigned char* const place = is_b ? to.b + PanelSwizzled(row, piece, kChunk)
                                      : to.x + Swizzled(row, piece - kPieces);
    if (row >= chunk.valid) {
      *reinterpret_cast<uint4*>(place) = make_uint4(0, 0, 0, 0);
      continue;
    }
    const Bf16* from = row < chunk.fresh ? RecentColumns(layout, segment.recent_in, row, at.layer)
                                         : fresh + row * d.channels;
    CopyAsync16(place, from + (is_b ? b_column + piece * 8 : at.column + (piece - kPieces) * 8));
  }
  for (int i = static_cast<int>(threadIdx.x) + chunk.fresh * kPieces; i < chunk.valid * kPieces;
       i += kThreads) {
    const int row = i / kPieces, piece = i % kPieces;
    CopyAsync16(to.c + PanelSwizzled(row, piece, kChunk),
                fresh + row * d.channels + c_column + piece * 8);
  }
  CopyCommit();
}

/// Time steps, the sums s of dt A, and what a token weighs at the chunk's end. By one warp; a sum is
/// a fixed tree over the tokens up to its own.
template <int kState>
H1_DEVICE void SumSteps(const Dims& d, const StateLayout& layout, const Buffers& buffers,
                        const DeviceSegment& segment, const Place& at, const Chunk& chunk, float a,
                        Shared<kState>& to) {
  float dt[2], sum[2];
  H1_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int row = half * kWarp + at.lane;
    dt[half] = 0;
    if (row < chunk.fresh) {
      dt[half] = RecentSteps(layout, segment.recent_in, row, at.layer)[at.head];
    } else if (row < chunk.valid) {
      const std::int64_t in = segment.first_row + chunk.first - segment.position + row;
      dt[half] = buffers.dt[in * d.ssm_heads + at.head];
    }
    sum[half] = dt[half] * a;
    for (int by = 1; by < kWarp; by *= 2) {
      const float before = __shfl_sync(kAllLanes, sum[half], at.lane >= by ? at.lane - by : 0);
      if (at.lane >= by) sum[half] = sum[half] + before;
    }
  }
  sum[1] = sum[1] + __shfl_sync(kAllLanes, sum[0], kWarp - 1);
  const float end = __shfl_sync(kAllLanes, sum[1], kWarp - 1);
  H1_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int row = half * kWarp + at.lane;
    to.dt[row] = dt[half];
    to.sum[row] = sum[half];
    to.fold[row] = expf(end - sum[half]) * dt[half];
  }
}

/// Scores of rows [16 m, + 16) with tokens [16 n, + 16): (C_t B_j) exp(s_t - s_j) dt_j, 0 for j > t.
template <int kState>
H1_DEVICE void Score(const Place& at, int m, int n, Shared<kState>& shared) {
  const int lane = at.lane;
  float out[2][4] = {};
  H1_UNROLL
  for (int k = 0; k < kState / 16; ++k) {
    unsigned c[4], b[4];
    LoadMatrix4(c, shared.c + PanelSwizzled(m * 16 + lane % 16, k * 2 + lane / 16, kChunk));
    LoadMatrix4(b, shared.b + PanelSwizzled(n * 16 + lane / 16 * 8 + lane % 8,
                                            k * 2 + lane / 8 % 2, kChunk));
    Mma16x8x16(out[0], c, b[0], b[1]);
    Mma16x8x16(out[1], c, b[2], b[3]);
  }
  H1_UNROLL
  for (int i = 0; i < 8; ++i) {
    const int t = m * 16 + i % 4 / 2 * 8 + lane / 4, j = n * 16 + i / 4 * 8 + lane % 4 * 2 + i % 2;
    const float weight = expf(shared.sum[t] - shared.sum[j]) * shared.dt[j];
    shared.scores[t][j] = j <= t ? RoundTf32(out[i / 4][i % 4] * weight) : 0.0F;
  }
}

/// What the state at the chunk's start brings to kCount * 16 rows.
template <int kState, int kCount>
H1_DEVICE void AddState(const Place& at, int m, const Shared<kState>& shared,
                        const float (&state)[kState / 8][4], float (&y)[kCount][2][4]) {
  const int lane = at.lane;
  H1_UNROLL
  for (int k = 0; k < kState / 16; ++k) {
    float s[8];
    H1_UNROLL
    for (int i = 0; i < 8; ++i) s[i] = RoundTf32(state[2 * k + i / 4][i % 4]);
    H1_UNROLL
    for (int i = 0; i < kCount; ++i) {
      unsigned c[4];
      LoadMatrix4(c, shared.c + PanelSwizzled((m + i) * 16 + lane % 16, k * 2 + lane / 16, kChunk));
      const float low[4] = {LowHalf(c[0]), LowHalf(c[1]), HighHalf(c[0]), HighHalf(c[1])};
      const float high[4] = {LowHalf(c[2]), LowHalf(c[3]), HighHalf(c[2]), HighHalf(c[3])};
      Mma16x8x8(y[i][0], low, s[0], s[1]);
      Mma16x8x8(y[i][1], low, s[2], s[3]);
      Mma16x8x8(y[i][0], high, s[4], s[5]);
      Mma16x8x8(y[i][1], high, s[6], s[7]);
    }
  }
  H1_UNROLL
  for (int i = 0; i < kCount; ++i) {
    H1_UNROLL
    for (int half = 0; half < 2; ++half) {
      const float decay = expf(shared.sum[(m + i) * 16 + half * 8 + lane / 4]);
      H1_UNROLL
      for (int j = 0; j < 4; ++j) {
        float& v = y[i][j / 2][half * 2 + j % 2];
        v = v * decay;
      }
    }
  }
}

/// What the chunk's own tokens bring: scores times x.
template <int kState, int kCount>
H1_DEVICE void AddTokens(const Place& at, int m, const Shared<kState>& shared,
                         float (&y)[kCount][2][4]) {
  const int lane = at.lane;
  H1_UNROLL
  for (int k = 0; k < kChunk / 16; ++k) {
    if (k >= m + kCount) break;
    unsigned x[4];
    LoadMatrix4Transposed(x, shared.x + Swizzled(k * 16 + lane % 16, at.warp * 2 + lane / 16));
    H1_UNROLL
    for (int i = 0; i < kCount; ++i) {
      if (k > m + i) continue;
      const float* const row = &shared.scores[(m + i) * 16 + lane / 4][k * 16 + lane % 4 * 2];
      H1_UNROLL
      for (int half = 0; half < 2; ++half) {
        const float2 upper = *reinterpret_cast<const float2*>(row + half * 8);
        const float2 lower = *reinterpret_cast<const float2*>(row + 8 * kScoreWidth + half * 8);
        const float a[4] = {upper.x, lower.x, upper.y, lower.y};
        Mma16x8x8(y[i][0], a, LowHalf(x[half]), HighHalf(x[half]));
        Mma16x8x8(y[i][1], a, LowHalf(x[2 + half]), HighHalf(x[2 + half]));
      }
    }
  }
}

/// kCount * 16 rows' outputs of the warp's columns: gated into the products' input, or as they are
/// where a norm follows. Rows that are not new are not written.
template <int kState, int kCount>
H1_DEVICE void Write(const Dims& d, const Buffers& buffers, const DeviceSegment& segment,
                     const Place& at, const Chunk& chunk, int m, float skip, std::int64_t ldo,
                     const Shared<kState>& shared, const float (&y)[kCount][2][4]) {
  H1_UNROLL
  for (int i = 0; i < kCount * 4; ++i) {
    const int t = (m + i / 4) * 16 + i % 4 / 2 * 8 + at.lane / 4, n = i % 2;
    if (t < chunk.fresh || t >= chunk.valid) continue;
    const std::int64_t row = segment.first_row + chunk.first - segment.position + t;
    const std::int64_t column = at.column + at.warp * 16 + n * 8 + at.lane % 4 * 2;
    const unsigned x = *reinterpret_cast<const unsigned*>(
        shared.x + Swizzled(t, at.warp * 2 + n) + at.lane % 4 * 4);
    const float first = fmaf(skip, LowHalf(x), y[i / 4][n][i % 4 / 2 * 2]);
    const float second = fmaf(skip, HighHalf(x), y[i / 4][n][i % 4 / 2 * 2 + 1]);
    if (d.gated_norm) {
      *reinterpret_cast<float2*>(buffers.y + row * d.ssm_inner + column) =
          make_float2(first, second);
    } else {
      const float2 z =
          *reinterpret_cast<const float2*>(buffers.wide + row * d.wide + d.z + column);
      *reinterpret_cast<unsigned*>(static_cast<Bf16*>(buffers.mixed) + row * ldo + column) =
          PackBf16(first * Silu(z.x) * d.ssm_out, second * Silu(z.y) * d.ssm_out);
    }
  }
}

/// The state at the chunk's end.
template <int kState>
H1_DEVICE void Fold(const Place& at, const Shared<kState>& shared, float (&state)[kState / 8][4]) {
  const int lane = at.lane;
  float x[kChunk / 16][8];  // of the warp's columns, weighed: two products' operands each
  H1_UNROLL
  for (int k = 0; k < kChunk / 16; ++k) {
    unsigned pairs[4];
    LoadMatrix4Transposed(pairs, shared.x + Swizzled(k * 16 + lane / 16 * 8 + lane % 8,
                                                     at.warp * 2 + lane / 8 % 2));
    const float* const fold = shared.fold + k * 16 + lane % 4 * 2;
    H1_UNROLL
    for (int half = 0; half < 2; ++half) {
      const float2 w = *reinterpret_cast<const float2*>(fold + half * 8);
      x[k][half * 4] = RoundTf32(LowHalf(pairs[half * 2]) * w.x);
      x[k][half * 4 + 1] = RoundTf32(LowHalf(pairs[half * 2 + 1]) * w.x);
      x[k][half * 4 + 2] = RoundTf32(HighHalf(pairs[half * 2]) * w.y);
      x[k][half * 4 + 3] = RoundTf32(HighHalf(pairs[half * 2 + 1]) * w.y);
    }
  }
  const float decay = expf(shared.sum[kChunk - 1]);
  H1_UNROLL
  for (int n = 0; n < kState / 16; ++n) {
    H1_UNROLL
    for (int i = 0; i < 8; ++i) state[2 * n + i / 4][i % 4] = state[2 * n + i / 4][i % 4] * decay;
    H1_UNROLL
    for (int k = 0; k < kChunk / 16; ++k) {
      unsigned b[4];
      LoadMatrix4Transposed(
          b, shared.b + PanelSwizzled(k * 16 + lane % 16, n * 2 + lane / 16, kChunk));
      H1_UNROLL
      for (int half = 0; half < 2; ++half) {
        const float a[4] = {x[k][half * 4], x[k][half * 4 + 1], x[k][half * 4 + 2],
                            x[k][half * 4 + 3]};
        Mma16x8x8(state[2 * n], a, LowHalf(b[half]), HighHalf(b[half]));
        Mma16x8x8(state[2 * n + 1], a, LowHalf(b[2 + half]), HighHalf(b[2 + half]));
      }
    }
  }
}

template <int kState>
__global__ void __launch_bounds__(kThreads, kState == 256 ? 2 : 3)
    ChunkedKernel(Dims d, StateLayout layout, DeviceBatch batch, Buffers buffers,
                  const float* a, const float* d_skip, std::int64_t layer, std::int64_t ldo) {
  H1_DYNAMIC_SHARED(bytes);
  auto& shared = *reinterpret_cast<Shared<kState>*>(bytes);
  const int thread = static_cast<int>(threadIdx.x);
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kColumns;
  const std::int64_t head = column / d.ssm_head_dim;
  const Place at{head, head / (d.ssm_heads / d.ssm_groups), column, layer, thread / kWarp,
                 thread % kWarp};
  const DeviceSegment segment = batch.segments[blockIdx.y];
  const std::int64_t end = segment.position + segment.rows;
  // Fragment n of the warp's 16 columns: four floats of every lane, one after the other.
  const std::int64_t in_state = (column / 16 + at.warp) * kState * 16 + at.lane * 4;
  float state[kState / 8][4] = {};
  bool any_state = false;
  if (segment.state_in != nullptr) {
    any_state = true;
    const float* from =
        reinterpret_cast<const float*>(segment.state_in + layout.ssm_at(layer)) + in_state;
    H1_UNROLL
    for (int n = 0; n < kState / 8; ++n) {
      const float4 four = *reinterpret_cast<const float4*>(from + n * 128);
      state[n][0] = four.x, state[n][1] = four.y, state[n][2] = four.z, state[n][3] = four.w;
    }
  }
  for (std::int64_t first = segment.position / kChunk * kChunk; first < end; first += kChunk) {
    const Chunk chunk{
        first, segment.position > first ? static_cast<int>(segment.position - first) : 0,
        end - first < kChunk ? static_cast<int>(end - first) : kChunk};
    CopyChunk(d, layout, buffers, segment, at, chunk, shared);
    if (at.warp == 0) SumSteps(d, layout, buffers, segment, at, chunk, a[head], shared);
    CopyWait<0>();
    __syncthreads();
    const int first_m = chunk.fresh / 16, last_m = (chunk.valid + 15) / 16;
    int item = 0;
    for (int m = first_m; m < last_m; ++m) {
      for (int n = 0; n <= m; ++n, ++item)
        if (item % kWarps == at.warp) Score(at, m, n, shared);
    }
    __syncthreads();
    if (last_m - first_m == 1) {
      float y[1][2][4] = {};
      if (any_state) AddState(at, first_m, shared, state, y);
      AddTokens(at, first_m, shared, y);
      Write(d, buffers, segment, at, chunk, first_m, d_skip[head], ldo, shared, y);
    } else {  // all four: what comes out for the others is not written
      float y[4][2][4] = {};
      if (any_state) AddState(at, 0, shared, state, y);
      AddTokens(at, 0, shared, y);
      Write(d, buffers, segment, at, chunk, 0, d_skip[head], ldo, shared, y);
    }
    if (chunk.valid == kChunk) {
      Fold(at, shared, state);
      any_state = true;
    }
    __syncthreads();
  }
  if (segment.state_out == nullptr) return;
  float* to = reinterpret_cast<float*>(segment.state_out + layout.ssm_at(layer)) + in_state;
  H1_UNROLL
  for (int n = 0; n < kState / 8; ++n)
    *reinterpret_cast<float4*>(to + n * 128) =
        make_float4(state[n][0], state[n][1], state[n][2], state[n][3]);
}

template <int kState>
void Run(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  const LaunchShape shape{dim3(static_cast<unsigned>(c.dims.ssm_inner / kColumns),
                               static_cast<unsigned>(c.batch.segment_count)),
                          dim3(kThreads), sizeof(Shared<kState>)};
  Launch("scan_chunked", ChunkedKernel<kState>, shape, c.stream, c.dims, c.layout, c.batch,
         c.buffers, w.a, w.d_skip, layer,
         RoundUp(c.dims.ssm_inner + c.dims.heads * c.dims.head_dim, kPadK));
}

}  // namespace

bool HasScanChunked(const ModelShape& s, bool bf16) {
  const Dims d(s);
  return bf16 && (s.ssm_state == 128 || s.ssm_state == 256) && s.ssm_head_dim % kColumns == 0 &&
         d.channels % 8 == 0 && d.wide % 2 == 0 && d.z % 2 == 0;
}

void ScanChunked(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  if (c.dims.ssm_state == 128) {
    Run<128>(c, w, layer);
  } else {
    Run<256>(c, w, layer);
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

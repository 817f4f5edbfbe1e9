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
// prefill, any pieces and decode give the same bits, and decode writes a state only once in 64
// tokens. The state and all sums are fp32; products take bf16, as the reference implementation's do.
// Tokens after a row add exact zeros to it, unless they are infinite.
//
// A block owns 64 columns p of one head, each of its four warps 16 of them with all N of the state in
// registers, where they lie as fragments of a product's result: which are the next product's operand
// as they lie.
#include "kernels/cuda/scan.h"
#include "kernels/cuda/scan_chunk.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

using namespace chunked;

/// Row of shared.c and shared.scores at which tile m begins.
template <int kRows>
H1_DEVICE int RowOfTile(int m) {
  return kRows == kChunk ? m * kTile : 0;
}

/// Scores of tile m's rows with kCount tiles of tokens from tile n on:
/// (C_t B_j) exp(s_t - s_j) dt_j, 0 for j > t.
template <int kCount, int kState, int kRows>
H1_DEVICE void Score(const Place& at, int m, int n, Shared<kState, kRows>& shared) {
  const LanePlace first = Rows16(at.lane), second = Rows8(at.lane);
  float out[kCount][2][4] = {};
  H1_UNROLL
  for (int k = 0; k < kState / 16; ++k) {
    unsigned c[4];
    LoadMatrix4(c, shared.c + first.At<kRows>(k, RowOfTile<kRows>(m)));
    H1_UNROLL
    for (int i = 0; i < kCount; ++i) {
      unsigned b[4];
      LoadMatrix4(b, shared.b + second.At(k, (n + i) * kTile));
      Mma16x8x16(out[i][0], c, b[0], b[1]);
      Mma16x8x16(out[i][1], c, b[2], b[3]);
    }
  }
  const int t = m * kTile + at.lane / 4, pair = at.lane % 4 * 2;
  const float sum[2] = {shared.sum[t], shared.sum[t + 8]};
  H1_UNROLL
  for (int i = 0; i < kCount * 2; ++i) {
    const int j = n * kTile + i * 8 + pair;
    const float2 sum_j = *reinterpret_cast<const float2*>(&shared.sum[j]);
    const float2 dt_j = *reinterpret_cast<const float2*>(&shared.dt[j]);
    H1_UNROLL
    for (int half = 0; half < 2; ++half) {
      const float* const raw = &out[i / 2][i % 2][half * 2];
      const int row = t + half * 8;
      const float low = raw[0] * (Exp2(sum[half] - sum_j.x) * dt_j.x);
      const float high = raw[1] * (Exp2(sum[half] - sum_j.y) * dt_j.y);
      *reinterpret_cast<unsigned*>(
          shared.scores + Swizzled(row - m * kTile + RowOfTile<kRows>(m), j / 8) + pair * 2) =
          PackBf16(j <= row ? low : 0.0F, j + 1 <= row ? high : 0.0F);
    }
  }
}

/// The scores that the chunk's new rows need, shared out among the warps.
template <int kState, int kRows>
H1_DEVICE void Scores(const Place& at, int first_m, int last_m, Shared<kState, kRows>& shared) {
  if (kRows == kTile || last_m - first_m == 1) {
    if (at.warp <= first_m) Score<1>(at, first_m, at.warp, shared);
    return;
  }
  // Neighbouring blocks give their longest row of tiles to different schedulers.
  switch (blockIdx.x % 2 == 0 ? at.warp : kTiles - 1 - at.warp) {
    case 0:
      return Score<1>(at, 0, 0, shared);
    case 1:
      return Score<2>(at, 1, 0, shared);
    case 2:
      return Score<3>(at, 2, 0, shared);
    default:
      return Score<4>(at, 3, 0, shared);
  }
}

/// What the state at the chunk's start brings to kCount tiles of rows.
template <int kCount, int kState, int kRows>
H1_DEVICE void AddState(const Place& at, int m, const Shared<kState, kRows>& shared,
                        const float (&state)[kState / 8][4], float (&y)[kCount][2][4]) {
  const LanePlace first = Rows16(at.lane);
  H1_UNROLL
  for (int k = 0; k < kState / 16; ++k) {
    unsigned s[4];
    H1_UNROLL
    for (int i = 0; i < 4; ++i)
      s[i] = PackBf16(state[2 * k + i % 2][i / 2 * 2], state[2 * k + i % 2][i / 2 * 2 + 1]);
    H1_UNROLL
    for (int i = 0; i < kCount; ++i) {
      unsigned c[4];
      LoadMatrix4(c, shared.c + first.At<kRows>(k, RowOfTile<kRows>(m) + i * kTile));
      Mma16x8x16(y[i][0], c, s[0], s[1]);
      Mma16x8x16(y[i][1], c, s[2], s[3]);
    }
  }
  H1_UNROLL
  for (int i = 0; i < kCount * 2; ++i) {
    const float decay = Exp2(shared.sum[m * kTile + i * 8 + at.lane / 4]);
    H1_UNROLL
    for (int j = 0; j < 4; ++j) {
      float& v = y[i / 2][j / 2][i % 2 * 2 + j % 2];
      v = v * decay;
    }
  }
}

/// What the chunk's own tokens bring: scores times x.
template <int kCount, int kState, int kRows>
H1_DEVICE void AddTokens(const Place& at, int m, const Shared<kState, kRows>& shared,
                         float (&y)[kCount][2][4]) {
  const LanePlace lane = Rows16(at.lane);
  H1_UNROLL
  for (int k = 0; k < kTiles; ++k) {
    if (k >= m + kCount) break;
    unsigned x[4];
    LoadMatrix4Transposed(x, shared.x + lane.At(at.warp, k * kTile));
    H1_UNROLL
    for (int i = 0; i < kCount; ++i) {
      if (k > m + i) continue;
      unsigned a[4];
      LoadMatrix4(a, shared.scores + lane.At(k, RowOfTile<kRows>(m) + i * kTile));
      Mma16x8x16(y[i][0], a, x[0], x[1]);
      Mma16x8x16(y[i][1], a, x[2], x[3]);
    }
  }
}

/// The row and column of pair i of a lane's results.
struct PairPlace {
  int t, column;
  H1_DEVICE PairPlace(const Place& at, int m, int i)
      : t(m * kTile + i / 2 * 8 + at.lane / 4),
        column(at.warp * kTile + i % 2 * 8 + at.lane % 4 * 2) {}
};

/// z of the rows that Write gates; before the sums, so that it comes while they are computed.
template <int kCount>
H1_DEVICE void LoadGate(const Dims& d, const Buffers& buffers, const Place& at, const Chunk& chunk,
                        int m, float2 (&z)[kCount * 4]) {
  const float* const from = buffers.wide + chunk.first_row * d.wide + d.z + at.column;
  H1_UNROLL
  for (int i = 0; i < kCount * 4; ++i) {
    const PairPlace place(at, m, i);
    z[i] = make_float2(0, 0);
    if (!d.gated_norm && place.t >= chunk.fresh && place.t < chunk.valid)
      z[i] = *reinterpret_cast<const float2*>(from + place.t * d.wide + place.column);
  }
}

/// The rows' outputs of the warp's columns: gated into the products' input, or as they are where a
/// norm follows. Rows that are not new are not written.
template <int kCount, typename Shared>
H1_DEVICE void Write(const Dims& d, const Buffers& buffers, const Place& at, const Chunk& chunk,
                     int m, float skip, std::int64_t ldo, const Shared& shared,
                     const float2 (&z)[kCount * 4], const float (&y)[kCount][2][4]) {
  H1_UNROLL
  for (int i = 0; i < kCount * 4; ++i) {
    const PairPlace place(at, m, i);
    if (place.t < chunk.fresh || place.t >= chunk.valid) continue;
    const unsigned x = *reinterpret_cast<const unsigned*>(
        shared.x + Swizzled(place.t, place.column / 8) + place.column % 8 * 2);
    const float* const sums = &y[i / 4][i % 2][i / 2 % 2 * 2];
    const float first = fmaf(skip, LowBf16(x), sums[0]);
    const float second = fmaf(skip, HighBf16(x), sums[1]);
    // The chunk may begin before the batch's first row: only the whole sum is a place in it.
    const std::int64_t row = chunk.first_row + place.t, column = at.column + place.column;
    if (d.gated_norm) {
      *reinterpret_cast<float2*>(buffers.y + row * d.ssm_inner + column) =
          make_float2(first, second);
    } else {
      Bf16* const mixed = static_cast<Bf16*>(buffers.mixed) + row * ldo + column;
      *reinterpret_cast<unsigned*>(mixed) =
          PackBf16(first * Silu(z[i].x, Bf16{}) * d.ssm_out, second * Silu(z[i].y, Bf16{}) * d.ssm_out);
    }
  }
}

/// Outputs of kCount tiles of rows from tile m on.
template <int kCount, int kState, int kRows>
H1_DEVICE void Outputs(const Dims& d, const Buffers& buffers, const Place& at, const Chunk& chunk,
                       int m, float skip, std::int64_t ldo, bool any_state,
                       const Shared<kState, kRows>& shared,
                       const float (&state)[kState / 8][4]) {
  float y[kCount][2][4] = {};
  if (any_state) AddState<kCount>(at, m, shared, state, y);
  float2 z[kCount * 4];
  LoadGate<kCount>(d, buffers, at, chunk, m, z);
  AddTokens<kCount>(at, m, shared, y);
  Write<kCount>(d, buffers, at, chunk, m, skip, ldo, shared, z, y);
}

/// The state at the chunk's end.
template <int kState, int kRows>
H1_DEVICE void Fold(const Place& at, const Shared<kState, kRows>& shared, float (&state)[kState / 8][4]) {
  const LanePlace first = Rows8(at.lane), second = Rows16(at.lane);
  unsigned x[kTiles][4];  // of the warp's columns, weighed
  H1_UNROLL
  for (int k = 0; k < kTiles; ++k) {
    LoadMatrix4Transposed(x[k], shared.x + first.At(at.warp, k * kTile));
    H1_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float2 w = *reinterpret_cast<const float2*>(
          &shared.fold[k * kTile + i / 2 * 8 + at.lane % 4 * 2]);
      x[k][i] = PackBf16(LowBf16(x[k][i]) * w.x, HighBf16(x[k][i]) * w.y);
    }
  }
  const float decay = Exp2(shared.sum[kChunk - 1]);
  H1_UNROLL
  for (int n = 0; n < kState / 16; ++n) {
    H1_UNROLL
    for (int i = 0; i < 8; ++i) state[2 * n + i / 4][i % 4] = state[2 * n + i / 4][i % 4] * decay;
    H1_UNROLL
    for (int k = 0; k < kTiles; ++k) {
      unsigned b[4];
      LoadMatrix4Transposed(b, shared.b + second.At(n, k * kTile));
      Mma16x8x16(state[2 * n], x[k], b[0], b[1]);
      Mma16x8x16(state[2 * n + 1], x[k], b[2], b[3]);
    }
  }
}

/// Blocks that share a multiprocessor: those of a decode step keep less and wait for memory more.
constexpr int Blocks(int state, int rows) {
  return (state == 256 ? 2 : 3) + (rows == kTile ? 1 : 0);
}

template <int kState, int kRows>
__global__ void __launch_bounds__(kThreads, Blocks(kState, kRows))
    ChunkedKernel(Dims d, StateLayout layout, DeviceBatch batch, Buffers buffers,
                  const float* a, const float* d_skip, std::int64_t layer, std::int64_t ldo) {
  WaitForKernelBefore();
  H1_DYNAMIC_SHARED(bytes);
  auto& shared = *reinterpret_cast<Shared<kState, kRows>*>(bytes);
  const int thread = static_cast<int>(threadIdx.x);
  const int column = static_cast<int>(blockIdx.x) * kColumns;
  const int head = column / static_cast<int>(d.ssm_head_dim);
  const Place at{head, head / static_cast<int>(d.ssm_heads / d.ssm_groups), column,
                 thread / kWarp, thread % kWarp, layer};
  const DeviceSegment segment = batch.segments[blockIdx.y];
  const std::int64_t end = segment.position + segment.rows;
  const float a_log2 = a[head] * kLog2E, skip = d_skip[head];
  // Fragment n of the warp's 16 columns: four floats of every lane, one after the other.
  const std::int64_t in_state = (column / kTile + at.warp) * kState * kTile + at.lane * 4;
  float state[kState / 8][4] = {}, dt[2] = {};
  bool any_state = segment.state_in != nullptr;
  std::int64_t first = segment.position / kChunk * kChunk;
  Chunk chunk = ChunkAt(segment, first);
  CopyChunk<kState, kRows, kColumns>(d, layout, buffers, segment, at, chunk, shared);
  if (at.warp == 0) LoadSteps(d, layout, buffers, segment, at, chunk, dt);
  if (any_state) {
    const float* from =
        reinterpret_cast<const float*>(segment.state_in + layout.ssm_at(layer)) + in_state;
    H1_UNROLL
    for (int n = 0; n < kState / 8; ++n) {
      const float4 four = *reinterpret_cast<const float4*>(from + n * 128);
      state[n][0] = four.x, state[n][1] = four.y, state[n][2] = four.z, state[n][3] = four.w;
    }
  }
  for (;;) {
    const Chunk next = ChunkAt(segment, first + kChunk);
    if (at.warp == 0) {
      SumSteps(dt, a_log2, at.lane, shared);
      if (next.first < end) LoadSteps(d, layout, buffers, segment, at, next, dt);
    }
    CopyWait<0>();
    __syncthreads();
    const int first_m = chunk.fresh / kTile, last_m = (chunk.valid + kTile - 1) / kTile;
    Scores(at, first_m, last_m, shared);
    __syncthreads();
    if (kRows == kTile || last_m - first_m == 1) {
      Outputs<1>(d, buffers, at, chunk, first_m, skip, ldo, any_state, shared, state);
    } else if constexpr (kRows == kChunk) {  // all tiles: what comes out for rows that are not new is not written
      Outputs<kTiles>(d, buffers, at, chunk, 0, skip, ldo, any_state, shared, state);
    }
    if (chunk.valid == kChunk) {
      Fold(at, shared, state);
      any_state = true;
    }
    first += kChunk;
    if (kRows == kTile || first >= end) break;
    chunk = next;
    __syncthreads();
    CopyChunk<kState, kRows, kColumns>(d, layout, buffers, segment, at, chunk, shared);
  }
  if (segment.state_out == nullptr) return;
  float* to = reinterpret_cast<float*>(segment.state_out + layout.ssm_at(layer)) + in_state;
  H1_UNROLL
  for (int n = 0; n < kState / 8; ++n)
    *reinterpret_cast<float4*>(to + n * 128) =
        make_float4(state[n][0], state[n][1], state[n][2], state[n][3]);
}

template <int kState, int kRows>
void Run(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  const LaunchShape shape{dim3(static_cast<unsigned>(c.dims.ssm_inner / kColumns),
                               static_cast<unsigned>(c.batch.segment_count)),
                          dim3(kThreads), sizeof(Shared<kState, kRows>)};
  Launch(kRows == kTile ? "scan_step" : "scan_chunked", ChunkedKernel<kState, kRows>, shape, c.stream, c.dims, c.layout, c.batch,
         c.buffers, w.a, w.d_skip, layer,
         RoundUp(c.dims.ssm_inner + c.dims.heads * c.dims.head_dim, kPadK));
}

}  // namespace

void ScanChunked(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  const bool step = c.batch.rows == c.batch.segment_count;  // every segment is one row
  if (c.dims.ssm_state == 128) {
    step ? Run<128, kTile>(c, w, layer) : Run<128, kChunk>(c, w, layer);
  } else {
    step ? Run<256, kTile>(c, w, layer) : Run<256, kChunk>(c, w, layer);
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

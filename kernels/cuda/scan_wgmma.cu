// The SSM in chunks on Hopper: scan_chunked.cu's products and bits for calls of more than a row a segment,
// by warpgroup products, which read a chunk's B and C from shared memory once instead of once a warp.
// Outputs lie transposed here (columns p on the M side, tokens on the N side), so that the state is a
// product's operand where it lies; a number has the same chain of k16 steps either way. One warpgroup
// copies a chunk ahead, two own 64 columns each and go on by themselves: they share B and C alone.
#include "kernels/cuda/scan.h"
#include "kernels/cuda/scan_chunk.h"
#include "kernels/cuda/wgmma_registers.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

using namespace chunked;

#if defined(__CUDACC__) || defined(H1_CUDA_EMULATION)

constexpr int kPanel = kChunk * 128;  // bytes of 64 columns of a chunk's rows
constexpr int kGroups = 2, kGroupThreads = 128;
constexpr int kSlots = 2;  // chunks that are there or on their way

/// A chunk's inputs, bf16, in swizzled panels.
template <int kState>
struct Stage {
  unsigned char b[kChunk * kState * 2], c[kChunk * kState * 2], x[kGroups * kPanel];
};
/// SumSteps' results of a warpgroup's head, and exp(s).
struct Steps {
  float dt[kChunk], sum[kChunk], fold[kChunk], decay[kChunk];
};
template <int kState>
struct Room {
  Stage<kState> stages[kSlots];
  unsigned char scores[kGroups][2][kPanel];  // of this chunk and the one before
  Steps steps[kSlots][kGroups];
  Barrier full[kSlots], empty[kSlots];
};

/// What a warpgroup works on: a chunk that is in shared memory.
template <int kState>
struct Work {
  const Stage<kState>& stage;
  const unsigned char* x;  // the panel of its columns
  unsigned char* scores;
  const Steps& steps;
  int id;  // of its barrier
};

/// C_t B_j of all of a chunk's tokens.
template <int kState>
H1_DEVICE void MultiplyTokens(const Stage<kState>& stage, float (&scores)[kChunk / 2]) {
  WgmmaFence();
  H1_UNROLL
  for (int k = 0; k < kState / 16; ++k)
    Wgmma<kChunk>(scores, stage.c + k / 4 * kPanel, stage.b + k / 4 * kPanel, k % 4, k > 0);
  WgmmaCommit();
  WgmmaWait<0>();
  WgmmaHold(scores);
}

/// (C_t B_j) exp(s_t - s_j) dt_j, 0 for j > t, to where the products of tokens read them.
[[maybe_unused]] H1_DEVICE void WeighScores(const Place& at, const Steps& steps,
                                            const float (&scores)[kChunk / 2], unsigned char* to) {
  const int t = at.warp * kTile + at.lane / 4, pair = at.lane % 4 * 2;
  const float sum[2] = {steps.sum[t], steps.sum[t + 8]};
  H1_UNROLL
  for (int i = 0; i < kChunk / 8; ++i) {
    const int j = i * 8 + pair;
    const bool any = i * 8 < (at.warp + 1) * kTile;  // else all of it lies after the warp's rows
    float2 sum_j = {}, dt_j = {};
    if (any) {
      sum_j = *reinterpret_cast<const float2*>(&steps.sum[j]);
      dt_j = *reinterpret_cast<const float2*>(&steps.dt[j]);
    }
    H1_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int row = t + half * 8;
      unsigned both = 0;
      if (any) {
        const float low = scores[i * 4 + half * 2] * (Exp2(sum[half] - sum_j.x) * dt_j.x);
        const float high = scores[i * 4 + half * 2 + 1] * (Exp2(sum[half] - sum_j.y) * dt_j.y);
        both = PackBf16(j <= row ? low : 0.0F, j + 1 <= row ? high : 0.0F);
      }
      *reinterpret_cast<unsigned*>(to + Swizzled(row, i) + pair * 2) = both;
    }
  }
}

/// y (p, t) = what the state at the chunk's start brings.
template <int kState>
H1_DEVICE void AddState(const Place& at, const Work<kState>& work,
                        const float (&state)[kState / 2], float (&y)[kChunk / 2]) {
  unsigned held[2][4][4];  // products in flight read them
  H1_UNROLL
  for (int panel = 0; panel < kState / 64; ++panel) {
    if (panel >= 2) WgmmaWait<1>();
    H1_UNROLL
    for (int k = 0; k < 4; ++k) {
      H1_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int from = (panel * 4 + k) * 8 + i * 2;
        held[panel % 2][k][i] = PackBf16(state[from], state[from + 1]);
      }
    }
    WgmmaFence();
    H1_UNROLL
    for (int k = 0; k < 4; ++k) {
      WgmmaFromRegistersByRows<kChunk>(y, held[panel % 2][k], work.stage.c + panel * kPanel, k,
                                       panel > 0 || k > 0);
    }
    WgmmaCommit();
  }
  WgmmaWait<0>();
  WgmmaHold(y);
  H1_UNROLL
  for (int i = 0; i < kChunk / 8; ++i) {
    const float2 decay =
        *reinterpret_cast<const float2*>(&work.steps.decay[i * 8 + at.lane % 4 * 2]);
    H1_UNROLL
    for (int j = 0; j < 4; ++j) y[i * 4 + j] = y[i * 4 + j] * (j % 2 == 0 ? decay.x : decay.y);
  }
}

/// x of the warp's columns, as a product's first operand: (p, token).
using Inputs = unsigned[kTiles][4];
[[maybe_unused]] H1_DEVICE void LoadInputs(const Place& at, const unsigned char* panel, Inputs& x) {
  const LanePlace first = Rows8(at.lane);
  H1_UNROLL
  for (int k = 0; k < kTiles; ++k)
    LoadMatrix4Transposed(x[k], panel + first.At(at.warp, k * kTile));
}
/// The same, by what each token weighs at the chunk's end.
[[maybe_unused]] H1_DEVICE void WeighInputs(const Place& at, const Steps& steps, const Inputs& x,
                                            Inputs& out) {
  H1_UNROLL
  for (int k = 0; k < kTiles; ++k) {
    H1_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float2 w = *reinterpret_cast<const float2*>(
          &steps.fold[k * kTile + i / 2 * 8 + at.lane % 4 * 2]);
      out[k][i] = PackBf16(LowBf16(x[k][i]) * w.x, HighBf16(x[k][i]) * w.y);
    }
  }
}

/// Where a warpgroup's outputs go: gated into the products' input, or as they are where a norm follows.
struct Outputs {
  const Dims& d;
  const Buffers& buffers;
  const Chunk& chunk;
  std::int64_t column, ldo;  // the warpgroup's first column; of the products' input
  float skip;
};

/// Two columns from p on of every eighth token from t on. What comes from memory is asked for before the
/// first store. kWhole: every token of the chunk is new; else those that are not are not written.
template <bool kWhole, bool kNorm>
H1_DEVICE void WriteColumns(const Outputs& to, const unsigned char* inputs, int t, int p,
                            const float (&y)[kChunk / 8][2]) {
  const Dims& d = to.d;
  // The chunk may begin before the batch's first row: only the whole sum is a place in it.
  const std::int64_t row = to.chunk.first_row + t, at = to.column + p;
  const auto there = [&](int i) {
    return kWhole || (t + i * 8 >= to.chunk.fresh && t + i * 8 < to.chunk.valid);
  };
  float2 z[kChunk / 8] = {};
  H1_UNROLL
  for (int i = 0; !kNorm && i < kChunk / 8; ++i) {
    if (there(i))
      z[i] = *reinterpret_cast<const float2*>(to.buffers.wide + (row + i * 8) * d.wide + d.z + at);
  }
  H1_UNROLL
  for (int i = 0; i < kChunk / 8; ++i) {
    if (!there(i)) continue;
    const unsigned x =
        *reinterpret_cast<const unsigned*>(inputs + Swizzled(t, p / 8) + p % 8 * 2 + i * 8 * 128);
    const float first = fmaf(to.skip, LowBf16(x), y[i][0]), second = fmaf(to.skip, HighBf16(x), y[i][1]);
    if constexpr (kNorm) {
      *reinterpret_cast<float2*>(to.buffers.y + (row + i * 8) * d.ssm_inner + at) =
          make_float2(first, second);
    } else {
      *reinterpret_cast<unsigned*>(static_cast<Bf16*>(to.buffers.mixed) + (row + i * 8) * to.ldo + at) =
          PackBf16(first * Silu(z[i].x, Bf16{}) * d.ssm_out, second * Silu(z[i].y, Bf16{}) * d.ssm_out);
    }
  }
}

/// A lane has two tokens of a column; with the lane of the next column it swaps one for the other's.
template <bool kWhole, bool kNorm>
H1_DEVICE void WriteAll(const Outputs& to, const Place& at, const unsigned char* inputs,
                        const float (&y)[kChunk / 2]) {
  const bool odd = at.lane / 4 % 2 == 1;
  H1_UNROLL
  for (int half = 0; half < 2; ++half) {
    float pairs[kChunk / 8][2];
    H1_UNROLL
    for (int i = 0; i < kChunk / 8; ++i) {
      const float even_token = y[i * 4 + half * 2], odd_token = y[i * 4 + half * 2 + 1];
      const float other = __shfl_xor_sync(kAllLanes, odd ? even_token : odd_token, 4);
      pairs[i][0] = odd ? other : even_token, pairs[i][1] = odd ? odd_token : other;
    }
    WriteColumns<kWhole, kNorm>(to, inputs, at.lane % 4 * 2 + (odd ? 1 : 0),
                                at.warp * kTile + half * 8 + at.lane / 8 * 2, pairs);
  }
}
[[maybe_unused]] H1_DEVICE void WriteAll(const Outputs& to, const Place& at,
                                         const unsigned char* inputs, const float (&y)[kChunk / 2]) {
  const bool whole = to.chunk.fresh == 0 && to.chunk.valid == kChunk;
  if (to.d.gated_norm) {
    whole ? WriteAll<true, true>(to, at, inputs, y) : WriteAll<false, true>(to, at, inputs, y);
  } else {
    whole ? WriteAll<true, false>(to, at, inputs, y) : WriteAll<false, false>(to, at, inputs, y);
  }
}

/// A chunk that is in shared memory: its outputs, and the state at its end (of an open chunk, none).
template <int kState>
H1_DEVICE void ScanChunk(const Outputs& outputs, const Place& at, bool any_state,
                         const Work<kState>& work, float (&state)[kState / 2]) {
  float y[kChunk / 2] = {};
  MultiplyTokens<kState>(work.stage, y);
  WeighScores(at, work.steps, y, work.scores);
  StoreFence();
  GroupBarrier(work.id);
  if (any_state) AddState<kState>(at, work, state, y);
  Inputs x, weighed;
  LoadInputs(at, work.x, x);
  // An open chunk's tokens are folded as well, which nobody reads: a branch between the products would
  // keep them from running together.
  WeighInputs(at, work.steps, x, weighed);
  const float decay = work.steps.decay[kChunk - 1];
  H1_UNROLL
  for (int i = 0; i < kState / 2; ++i) state[i] = state[i] * decay;
  WgmmaFence();
  H1_UNROLL
  for (int k = 0; k < kTiles; ++k)
    WgmmaFromRegistersByRows<kChunk>(y, x[k], work.scores, k, any_state || k > 0);
  WgmmaCommit();
  H1_UNROLL
  for (int k = 0; k < kTiles; ++k)
    WgmmaFromRegisters<kState, kChunk>(state, weighed[k], work.stage.b, k, true);
  WgmmaCommit();
  WgmmaWait<1>();
  WgmmaHold(y);
  WriteAll(outputs, at, work.x, y);
  WgmmaWait<0>();
  WgmmaHold(state);
}

/// Where the lane's numbers of a layer's state lie: fragments of 16 columns by 8, four floats of every
/// lane one after the other.
template <int kState>
H1_DEVICE std::int64_t InState(const Place& at) {
  return (at.column / kTile + at.warp) * kState * kTile + at.lane * 4;
}
template <int kState>
H1_DEVICE void LoadState(const std::byte* layer, const Place& at, float (&state)[kState / 2]) {
  const float* const from = reinterpret_cast<const float*>(layer) + InState<kState>(at);
  H1_UNROLL
  for (int n = 0; n < kState / 8; ++n) {
    const float4 four = *reinterpret_cast<const float4*>(from + n * 128);
    state[n * 4] = four.x, state[n * 4 + 1] = four.y;
    state[n * 4 + 2] = four.z, state[n * 4 + 3] = four.w;
  }
}
template <int kState>
H1_DEVICE void StoreState(std::byte* layer, const Place& at, const float (&state)[kState / 2]) {
  float* const to = reinterpret_cast<float*>(layer) + InState<kState>(at);
  H1_UNROLL
  for (int n = 0; n < kState / 8; ++n) {
    *reinterpret_cast<float4*>(to + n * 128) =
        make_float4(state[n * 4], state[n * 4 + 1], state[n * 4 + 2], state[n * 4 + 3]);
  }
}

/// Of a warpgroup's 64 columns.
[[maybe_unused]] H1_DEVICE Place PlaceOf(const Dims& d, int group, std::int64_t layer) {
  const int thread = static_cast<int>(threadIdx.x);
  const int column = (static_cast<int>(blockIdx.x) * kGroups + group) * kColumns;
  const int head = column / static_cast<int>(d.ssm_head_dim);
  return {head,  head / static_cast<int>(d.ssm_heads / d.ssm_groups), column, thread / kWarp % 4,
          thread % kWarp, layer};
}

/// The copying warpgroup; a warp for each of the others also sums its head's time steps.
template <int kState>
H1_DEVICE void Produce(const Dims& d, const StateLayout& layout, const Buffers& buffers,
                       const DeviceSegment& segment, std::int64_t layer, const float* a,
                       Room<kState>& room) {
  const Place block = PlaceOf(d, 0, layer), at = PlaceOf(d, block.warp < kGroups ? block.warp : 0, layer);
  const bool sums = block.warp < kGroups;
  const float a_log2 = a[at.head] * kLog2E;
  const std::int64_t end = segment.position + segment.rows;
  std::int64_t first = segment.position / kChunk * kChunk;
  float dt[2] = {};
  if (sums) LoadSteps(d, layout, buffers, segment, at, ChunkAt(segment, first), dt);
  Ring ring{kSlots};
  for (; first < end; first += kChunk, ring.Next()) {
    const Chunk chunk = ChunkAt(segment, first), next = ChunkAt(segment, first + kChunk);
    BarrierWait(room.empty + ring.slot, ring.phase ^ 1);  // free from the start
    CopyChunk<kState, kChunk, kGroups * kColumns>(d, layout, buffers, segment, block, chunk,
                                                  room.stages[ring.slot]);
    if (sums) {
      Steps& steps = room.steps[ring.slot][block.warp];
      SumSteps(dt, a_log2, at.lane, steps);
      H1_UNROLL
      for (int row = at.lane; row < kChunk; row += kWarp) steps.decay[row] = Exp2(steps.sum[row]);
      if (next.first < end) LoadSteps(d, layout, buffers, segment, at, next, dt);
    }
    if (sums) BarrierArrive(room.full + ring.slot);
    if (chunk.fresh == 0 && chunk.valid == kChunk) {
      CopyArrive(room.full + ring.slot);
    } else {  // zeros among them are no copies
      CopyWait<0>();
      BarrierArrive(room.full + ring.slot);
    }
  }
  CopyWait<0>();
}

/// A warpgroup's way through the segment's chunks.
template <int kState>
H1_DEVICE void Consume(const Dims& d, const StateLayout& layout, const Buffers& buffers,
                       const DeviceSegment& segment, const Place& at, int group, float skip,
                       std::int64_t ldo, Room<kState>& room) {
  const std::int64_t end = segment.position + segment.rows;
  float state[kState / 2] = {};
  bool any_state = segment.state_in != nullptr;
  if (any_state) LoadState<kState>(segment.state_in + layout.ssm_at(at.layer), at, state);
  Ring ring{kSlots};
  int parity = 0;
  for (std::int64_t first = segment.position / kChunk * kChunk; first < end;
       first += kChunk, parity ^= 1, ring.Next()) {
    const Chunk chunk = ChunkAt(segment, first), next = ChunkAt(segment, first + kChunk);
    BarrierWait(room.full + ring.slot, ring.phase);
    StoreFence();  // the copies were ordinary ones
    const Stage<kState>& stage = room.stages[ring.slot];
    ScanChunk<kState>({d, buffers, chunk, at.column, ldo, skip}, at, any_state,
                      {stage, stage.x + group * kPanel, room.scores[group][parity],
                       room.steps[ring.slot][group], group + 1},
                      state);
    BarrierArrive(room.empty + ring.slot);
    any_state = true;
    if (segment.state_out != nullptr && next.first <= end && next.valid < kChunk)  // the last whole one's
      StoreState<kState>(segment.state_out + layout.ssm_at(at.layer), at, state);
  }
}

#endif

template <int kState>
__global__ void __launch_bounds__(kGroupThreads*(kGroups + 1), 1)
    ScanWgmmaKernel(Dims d, StateLayout layout, DeviceBatch batch, Buffers buffers, const float* a,
                    const float* d_skip, std::int64_t layer, std::int64_t ldo) {
#if defined(H1_CUDA_EMULATION) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  WaitForKernelBefore();
  H1_DYNAMIC_SHARED(bytes);
  auto& room = *reinterpret_cast<Room<kState>*>(bytes);
  const int thread = static_cast<int>(threadIdx.x), warpgroup = Uniform(thread / kGroupThreads);
  if (thread == 0) {
    for (int i = 0; i < kSlots; ++i) {
      // Every thread arrives for its own reads and writes: one lane for its warp would do, but racecheck
      // follows barriers a thread at a time and could not tell that from a race.
      BarrierInit(room.full + i, kGroupThreads + kGroups * kWarp);
      BarrierInit(room.empty + i, kGroups * kGroupThreads);
    }
    BarrierInitFence();
  }
  __syncthreads();
  const DeviceSegment segment = batch.segments[blockIdx.y];
  if (warpgroup == 0) {
    FewerRegisters<40>();
    Produce<kState>(d, layout, buffers, segment, layer, a, room);
  } else {
    MoreRegisters<232>();
    const int group = warpgroup - 1;
    const Place at = PlaceOf(d, group, layer);
    Consume<kState>(d, layout, buffers, segment, at, group, d_skip[at.head], ldo, room);
  }
#else
  __trap();  // the table does not choose it where this was compiled for
#endif
}

template <int kState>
void Run(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  const LaunchShape shape{dim3(static_cast<unsigned>(c.dims.ssm_inner / (kGroups * kColumns)),
                               static_cast<unsigned>(c.batch.segment_count)),
                          dim3(kGroupThreads * (kGroups + 1)), sizeof(Room<kState>)};
  Launch("scan_wgmma", ScanWgmmaKernel<kState>, shape, c.stream, c.dims, c.layout, c.batch, c.buffers,
         w.a, w.d_skip, layer, RoundUp(c.dims.ssm_inner + c.dims.heads * c.dims.head_dim, kPadK));
}

}  // namespace

void ScanWgmma(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  if (c.batch.rows == c.batch.segment_count) return ScanChunked(c, w, layer);  // a step: one tile of rows
  c.dims.ssm_state == 128 ? Run<128>(c, w, layer) : Run<256>(c, w, layer);
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

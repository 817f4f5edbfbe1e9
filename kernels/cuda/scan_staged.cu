// The SSM recurrence for the released shapes. A block owns 4 kRows rows p of one head; tokens come
// through shared memory kEight at a time, the next eight on their way while these are computed, and
// outputs leave gated and in whole lines.
#include "kernels/cuda/scan.h"
#include "kernels/cuda/tensor.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 128;
constexpr int kEight = 8;

/// Shared memory of eight tokens.
template <int kState, int kBlockRows>
struct Stage {
  float b[kEight][kState], c[kEight][kState];
  float x[kEight][kBlockRows], z[kEight][kBlockRows];
  float dt[kEight], decay[kEight];
};
template <int kState, int kBlockRows>
struct Shared {
  Stage<kState, kBlockRows> stage[2];
  float y[kEight][kBlockRows];
};

struct Place {
  std::int64_t head, first_p, group;
};

/// Starts copying tokens [first, first + kEight) of the segment; those past its end repeat the last.
template <int kState, int kBlockRows>
H1_DEVICE void CopyEight(const Dims& d, const Buffers& buffers, const DeviceSegment& segment,
                         const Place& at, std::int64_t first, Stage<kState, kBlockRows>& to) {
  const int thread = static_cast<int>(threadIdx.x);
  const float* const conv = static_cast<const float*>(buffers.conv);
  const auto row_of = [&](int t) {
    const std::int64_t in = first + t < segment.rows ? first + t : segment.rows - 1;
    return segment.first_row + in;
  };
  for (int i = thread; i < kEight * kState / 4; i += kThreads) {
    const int t = i / (kState / 4), n = i % (kState / 4) * 4;
    const float* b = conv + row_of(t) * d.channels + d.ssm_inner + at.group * kState + n;
    CopyAsync16(&to.b[t][n], b);
    CopyAsync16(&to.c[t][n], b + d.ssm_groups * kState);
  }
  for (int i = thread; i < kEight * kBlockRows / 4; i += kThreads) {
    const int t = i / (kBlockRows / 4), p = i % (kBlockRows / 4) * 4;
    const std::int64_t column = at.head * d.ssm_head_dim + at.first_p + p;
    CopyAsync16(&to.x[t][p], conv + row_of(t) * d.channels + column);
    CopyAsync16(&to.z[t][p], buffers.wide + row_of(t) * d.wide + d.z + column);
  }
  if (thread < kEight) {
    to.dt[thread] = buffers.dt[row_of(thread) * d.ssm_heads + at.head];
    to.decay[thread] = buffers.decay[row_of(thread) * d.ssm_heads + at.head];
  }
}

/// One token: the state moves on, y of the warp's rows goes to shared memory.
template <int kState, int kRows>
H1_DEVICE void Step(const Stage<kState, 4 * kRows>& stage, int t, int warp, int lane, float skip,
                    float (&state)[kRows][kState / kWarp], float* y) {
  constexpr int kColumns = kState / kWarp;
  float b[kColumns], c[kColumns], sum[kRows];
  H1_UNROLL
  for (int j = 0; j < kColumns; j += 4) {
    const float4 b4 = *reinterpret_cast<const float4*>(&stage.b[t][j * kWarp + lane * 4]);
    const float4 c4 = *reinterpret_cast<const float4*>(&stage.c[t][j * kWarp + lane * 4]);
    b[j] = b4.x, b[j + 1] = b4.y, b[j + 2] = b4.z, b[j + 3] = b4.w;
    c[j] = c4.x, c[j + 1] = c4.y, c[j + 2] = c4.z, c[j + 3] = c4.w;
  }
  const float dt = stage.dt[t], decay = stage.decay[t];
  H1_UNROLL
  for (int i = 0; i < kRows; ++i) {
    const float dx = dt * stage.x[t][warp * kRows + i];
    sum[i] = 0;
    H1_UNROLL
    for (int j = 0; j < kColumns; ++j) {
      state[i][j] = fmaf(dx, b[j], decay * state[i][j]);
      sum[i] = fmaf(state[i][j], c[j], sum[i]);
    }
  }
  const int own = warp * kRows + RowOfLane<kRows>(lane);
  const float total = SumRows<kRows>(sum, lane);
  if (lane % (kWarp / kRows) == 0) y[own] = fmaf(skip, stage.x[t][own], total);
}

/// Eight tokens' outputs: gated into the products' input, or as they are where a norm follows.
template <typename T, int kState, int kBlockRows>
H1_DEVICE void WriteEight(const Dims& d, const Buffers& buffers, const DeviceSegment& segment,
                          const Place& at, std::int64_t first, std::int64_t ldo,
                          const Shared<kState, kBlockRows>& shared,
                          const Stage<kState, kBlockRows>& stage) {
  for (int i = static_cast<int>(threadIdx.x); i < kEight * kBlockRows; i += kThreads) {
    const int t = i / kBlockRows, p = i % kBlockRows;
    if (first + t >= segment.rows) break;
    const std::int64_t row = segment.first_row + first + t;
    const std::int64_t column = at.head * d.ssm_head_dim + at.first_p + p;
    if (d.gated_norm) {
      buffers.y[row * d.ssm_inner + column] = shared.y[t][p];
    } else {
      Store(static_cast<T*>(buffers.mixed) + row * ldo + column,
            shared.y[t][p] * Silu(stage.z[t][p], T{}) * d.ssm_out);
    }
  }
}

template <typename T, int kState, int kRows>
__global__ void __launch_bounds__(kThreads, 4)
    StagedKernel(Dims d, StateLayout layout, DeviceBatch batch, Buffers buffers,
                 const float* d_skip, std::int64_t layer, std::int64_t ldo) {
  constexpr int kColumns = kState / kWarp, kBlockRows = 4 * kRows;
  WaitForKernelBefore();
  H1_DYNAMIC_SHARED(bytes);
  auto& shared = *reinterpret_cast<Shared<kState, kBlockRows>*>(bytes);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t blocks = d.ssm_head_dim / kBlockRows;
  const std::int64_t head = static_cast<std::int64_t>(blockIdx.x) / blocks;
  const Place at{head, static_cast<std::int64_t>(blockIdx.x) % blocks * kBlockRows,
                 head / (d.ssm_heads / d.ssm_groups)};
  const DeviceSegment segment = batch.segments[blockIdx.y];
  const std::int64_t in_state =
      (head * d.ssm_head_dim + at.first_p + warp * kRows) * kState + lane * 4;
  CopyEight(d, buffers, segment, at, 0, shared.stage[0]);
  CopyCommit();
  float state[kRows][kColumns] = {};
  if (segment.state_in != nullptr) {
    const float* from =
        reinterpret_cast<const float*>(segment.state_in + layout.ssm_at(layer)) + in_state;
    H1_UNROLL
    for (int i = 0; i < kRows; ++i) {
      H1_UNROLL
      for (int j = 0; j < kColumns; j += 4) {
        const float4 four = *reinterpret_cast<const float4*>(from + i * kState + j * kWarp);
        state[i][j] = four.x, state[i][j + 1] = four.y, state[i][j + 2] = four.z,
        state[i][j + 3] = four.w;
      }
    }
  }
  const float skip = d_skip[head];
  for (std::int64_t first = 0, e = 0; first < segment.rows; first += kEight, ++e) {
    auto& stage = shared.stage[e % 2];
    if (first + kEight < segment.rows)
      CopyEight(d, buffers, segment, at, first + kEight, shared.stage[(e + 1) % 2]);
    CopyCommit();
    CopyWait<1>();
    __syncthreads();
    const int count =
        segment.rows - first < kEight ? static_cast<int>(segment.rows - first) : kEight;
    for (int t = 0; t < count; ++t)
      Step<kState, kRows>(stage, t, warp, lane, skip, state, shared.y[t]);
    __syncthreads();
    WriteEight<T>(d, buffers, segment, at, first, ldo, shared, stage);
    __syncthreads();
  }
  if (segment.state_out == nullptr) return;
  float* to = reinterpret_cast<float*>(segment.state_out + layout.ssm_at(layer)) + in_state;
  H1_UNROLL
  for (int i = 0; i < kRows; ++i) {
    H1_UNROLL
    for (int j = 0; j < kColumns; j += 4)
      *reinterpret_cast<float4*>(to + i * kState + j * kWarp) =
          make_float4(state[i][j], state[i][j + 1], state[i][j + 2], state[i][j + 3]);
  }
}

template <typename T, int kState, int kRows>
void Run(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  const LaunchShape shape{
      dim3(static_cast<unsigned>(c.dims.ssm_heads * c.dims.ssm_head_dim / (4 * kRows)),
           static_cast<unsigned>(c.batch.segment_count)),
      dim3(kThreads), sizeof(Shared<kState, 4 * kRows>)};
  Launch("scan_staged", StagedKernel<T, kState, kRows>, shape, c.stream, c.dims, c.layout, c.batch,
         c.buffers, w.d_skip, layer,
         RoundUp(c.dims.ssm_inner + c.dims.heads * c.dims.head_dim, kPadK));
}

template <typename T>
void Choose(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  if (c.dims.ssm_state == 128) {
    Run<T, 128, 16>(c, w, layer);
  } else {
    Run<T, 256, 8>(c, w, layer);
  }
}

}  // namespace

void ScanStaged(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  if (c.bf16) {
    Choose<Bf16>(c, w, layer);
  } else {
    Choose<float>(c, w, layer);
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

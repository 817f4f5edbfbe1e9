// The SSM recurrence for every shape, token by token with the state in registers: read once and
// written once a Forward.
#include "kernels/cuda/scan.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 128;

/// kColumns numbers of a row of N, as a lane holds them: every 32nd. One at a time, for nothing
/// says that rows of any shape begin on more than a float.
template <int kColumns>
H1_DEVICE void LoadRow(const float* row, std::int64_t n, int lane, float (&out)[kColumns]) {
  H1_UNROLL
  for (int j = 0; j < kColumns; ++j) {
    const int column = j * kWarp + lane;
    out[j] = column < n ? row[column] : 0.0F;
  }
}
template <int kColumns>
H1_DEVICE void StoreRow(float* row, std::int64_t n, int lane, const float (&v)[kColumns]) {
  H1_UNROLL
  for (int j = 0; j < kColumns; ++j)
    if (j * kWarp + lane < n) row[j * kWarp + lane] = v[j];
}

/// What one token brings to a warp.
template <int kColumns, int kRows>
struct Token {
  float b[kColumns], c[kColumns], x[kRows], dt, decay;
};

template <int kColumns, int kRows>
H1_DEVICE void LoadToken(const Dims& d, const Buffers& buffers, std::int64_t row, std::int64_t head,
                         std::int64_t first_p, int lane, Token<kColumns, kRows>& out) {
  const float* conv = static_cast<const float*>(buffers.conv) + row * d.channels;
  const std::int64_t group = head / (d.ssm_heads / d.ssm_groups);
  const float* b = conv + d.ssm_inner + group * d.ssm_state;
  LoadRow<kColumns>(b, d.ssm_state, lane, out.b);
  LoadRow<kColumns>(b + d.ssm_groups * d.ssm_state, d.ssm_state, lane, out.c);
  H1_UNROLL
  for (int i = 0; i < kRows; ++i)
    out.x[i] = first_p + i < d.ssm_head_dim ? conv[head * d.ssm_head_dim + first_p + i] : 0.0F;
  out.dt = buffers.dt[row * d.ssm_heads + head];
  out.decay = buffers.decay[row * d.ssm_heads + head];
}

template <typename T, int kColumns, int kRows>
__global__ void __launch_bounds__(kThreads)
    ScanKernel(Dims d, StateLayout layout, DeviceBatch batch, Buffers buffers,
               const float* d_skip, std::int64_t layer, std::int64_t ldo) {
  WaitForKernelBefore();
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t pieces = CeilDiv(d.ssm_head_dim, kRows);
  const std::int64_t item =
      (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) / kWarp;
  if (item >= d.ssm_heads * pieces) return;
  const std::int64_t head = item / pieces, first_p = item % pieces * kRows;
  const DeviceSegment segment = batch.segments[blockIdx.y];
  const std::int64_t at = (head * d.ssm_head_dim + first_p) * d.ssm_state;
  float state[kRows][kColumns] = {};
  if (segment.state_in != nullptr) {
    const float* from =
        reinterpret_cast<const float*>(segment.state_in + layout.ssm_at(layer)) + at;
    H1_UNROLL
    for (int i = 0; i < kRows; ++i)
      if (first_p + i < d.ssm_head_dim)
        LoadRow<kColumns>(from + i * d.ssm_state, d.ssm_state, lane, state[i]);
  }
  const int own = RowOfLane<kRows>(lane);
  const bool writes = lane % (kWarp / kRows) == 0 && first_p + own < d.ssm_head_dim;
  const float skip = d_skip[head];
  const std::int64_t column = head * d.ssm_head_dim + first_p + own;
  Token<kColumns, kRows> token;
  LoadToken<kColumns, kRows>(d, buffers, segment.first_row, head, first_p, lane, token);
  for (std::int64_t t = 0; t < segment.rows; ++t) {
    const std::int64_t row = segment.first_row + t;
    Token<kColumns, kRows> next = token;
    if (t + 1 < segment.rows)
      LoadToken<kColumns, kRows>(d, buffers, row + 1, head, first_p, lane, next);
    float sum[kRows], x_own = 0;
    H1_UNROLL
    for (int i = 0; i < kRows; ++i) {
      const float dx = token.dt * token.x[i];
      sum[i] = 0;
      if (i == own) x_own = token.x[i];
      H1_UNROLL
      for (int j = 0; j < kColumns; ++j) {
        state[i][j] = fmaf(dx, token.b[j], token.decay * state[i][j]);
        sum[i] = fmaf(state[i][j], token.c[j], sum[i]);
      }
    }
    const float y = fmaf(skip, x_own, SumRows<kRows>(sum, lane));
    if (writes) {
      if (d.gated_norm) {
        buffers.y[row * d.ssm_inner + column] = y;
      } else {
        const float z = buffers.wide[row * d.wide + d.z + column];
        Store(static_cast<T*>(buffers.mixed) + row * ldo + column, y * Silu(z, T{}) * d.ssm_out);
      }
    }
    token = next;
  }
  if (segment.state_out == nullptr) return;
  float* to = reinterpret_cast<float*>(segment.state_out + layout.ssm_at(layer)) + at;
  H1_UNROLL
  for (int i = 0; i < kRows; ++i)
    if (first_p + i < d.ssm_head_dim)
      StoreRow<kColumns>(to + i * d.ssm_state, d.ssm_state, lane, state[i]);
}

template <typename T, int kColumns, int kRows>
void Run(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  const std::int64_t items = c.dims.ssm_heads * CeilDiv(c.dims.ssm_head_dim, kRows);
  const LaunchShape shape{dim3(static_cast<unsigned>(CeilDiv(items * kWarp, kThreads)),
                               static_cast<unsigned>(c.batch.segment_count)),
                          dim3(kThreads)};
  Launch("scan_plain", ScanKernel<T, kColumns, kRows>, shape, c.stream, c.dims, c.layout, c.batch,
         c.buffers, w.d_skip, layer,
         RoundUp(c.dims.ssm_inner + c.dims.heads * c.dims.head_dim, kPadK));
}

/// By the state's width alone, so that a model always takes the same.
template <typename T>
void Choose(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  const std::int64_t n = c.dims.ssm_state;
  if (n <= 32) return Run<T, 1, 4>(c, w, layer);
  if (n <= 128) return Run<T, 4, 4>(c, w, layer);
  return Run<T, 16, 1>(c, w, layer);  // to 512; the backend refuses more
}

}  // namespace

void ScanPlain(const StageContext& c, const LayerPointers& w, std::int64_t layer) {
  if (c.bf16) {
    Choose<Bf16>(c, w, layer);
  } else {
    Choose<float>(c, w, layer);
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

#include "kernels/cuda/gemm.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kTile = 64, kStep = 16, kThreads = 256;

/// 64 weight rows by 64 tokens a block; a thread owns 4 by 4, weight rows in pairs 8 apart as the
/// epilogue wants them. Every number: fused chains of kStep along k, added up in order, which rounds
/// less than one long chain.
template <typename In>
__global__ void __launch_bounds__(kThreads) PlainKernel(GemmArgs a) {
  WaitForKernelBefore();
  H1_SHARED(float, weights, kStep * (kTile + 1));
  H1_SHARED(float, tokens, kStep * (kTile + 1));
  const std::int64_t k_padded = RoundUp(a.k, kPadK);
  const std::int64_t n0 = static_cast<std::int64_t>(blockIdx.x) * kTile;
  const std::int64_t row0 = static_cast<std::int64_t>(blockIdx.y) * kTile;
  const int thread = static_cast<int>(threadIdx.x);
  const int ty = thread / 16, tx = thread % 16;
  const int pair = ty / 8 * 16 + ty % 8;  // first weight row; also + 8, + 32, + 40
  float sum[4][4] = {};
  for (std::int64_t k = 0; k < k_padded; k += kStep) {
    for (int i = thread; i < kTile * kStep; i += kThreads) {
      const int row = i / kStep, column = i % kStep;
      const std::int64_t token = row0 + row;
      weights[column * (kTile + 1) + row] =
          Load(static_cast<const In*>(a.weight)[(n0 + row) * k_padded + k + column]);
      tokens[column * (kTile + 1) + row] =
          token < a.rows ? Load(static_cast<const In*>(a.in)[token * a.ldi + k + column]) : 0.0F;
    }
    __syncthreads();
    float part[4][4] = {};
    for (int step = 0; step < kStep; ++step) {
      float w[4], t[4];
      H1_UNROLL
      for (int i = 0; i < 4; ++i) {
        w[i] = weights[step * (kTile + 1) + pair + i % 2 * 8 + i / 2 * 32];
        t[i] = tokens[step * (kTile + 1) + tx + 16 * i];
      }
      H1_UNROLL
      for (int i = 0; i < 4; ++i) {
        H1_UNROLL
        for (int j = 0; j < 4; ++j) part[i][j] = fmaf(w[i], t[j], part[i][j]);
      }
    }
    H1_UNROLL
    for (int i = 0; i < 4; ++i) {
      H1_UNROLL
      for (int j = 0; j < 4; ++j) sum[i][j] = sum[i][j] + part[i][j];
    }
    __syncthreads();
  }
  H1_UNROLL
  for (int j = 0; j < 4; ++j) {
    H1_UNROLL
    for (int i = 0; i < 4; i += 2)
      Finish<In>(a, row0 + tx + 16 * j, n0 + pair + i * 16, sum[i][j], sum[i + 1][j]);
  }
}

}  // namespace

void GemmPlain(const GemmArgs& args, bool bf16, Stream stream) {
  if (args.rows == 0) return;
  const LaunchShape shape{dim3(static_cast<unsigned>(RoundUp(args.n, kPadN) / kTile),
                               static_cast<unsigned>(CeilDiv(args.rows, kTile))),
                          dim3(kThreads)};
  if (bf16) {
    Launch("gemm_plain_bf16", PlainKernel<Bf16>, shape, stream, args);
  } else {
    Launch("gemm_plain_fp32", PlainKernel<float>, shape, stream, args);
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

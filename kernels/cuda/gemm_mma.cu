#include "kernels/cuda/gemm.h"
#include "kernels/cuda/tensor.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kWeights = 128;  // weight rows of a block
constexpr int kStep = 64;      // k of a stage: 128 bytes a row
constexpr int kStages = 3;
constexpr int kThreads = 256;

template <int kTokens>
constexpr std::size_t SharedBytes() {
  return static_cast<std::size_t>(kStages) * (kWeights + kTokens) * 128;
}

/// Copies one stage: rows of the weight, then rows of the tokens (those past the end repeat the
/// last one; their results are dropped).
template <int kTokens>
H1_DEVICE void CopyStage(const GemmArgs& a, std::int64_t n0, std::int64_t row0, std::int64_t k,
                         unsigned char* stage) {
  const std::int64_t k_padded = RoundUp(a.k, kPadK);
  const int thread = static_cast<int>(threadIdx.x);
  const Bf16* weight = static_cast<const Bf16*>(a.weight);
  const Bf16* in = static_cast<const Bf16*>(a.in);
  H1_UNROLL
  for (int i = 0; i < kWeights * 8 / kThreads; ++i) {
    const int at = thread + i * kThreads, row = at / 8, piece = at % 8;
    CopyAsync16(stage + Swizzled(row, piece), weight + (n0 + row) * k_padded + k + piece * 8);
  }
  unsigned char* tokens = stage + kWeights * 128;
  H1_UNROLL
  for (int i = 0; i < kTokens * 8 / kThreads; ++i) {
    const int at = thread + i * kThreads, row = at / 8, piece = at % 8;
    const std::int64_t token = row0 + row < a.rows ? row0 + row : a.rows - 1;
    CopyAsync16(tokens + Swizzled(row, piece), in + token * a.ldi + k + piece * 8);
  }
}

/// 8 warps: 4 along the weights (32 rows each), 2 along the tokens.
template <int kTokens>
__global__ void __launch_bounds__(kThreads) MmaKernel(GemmArgs a) {
  WaitForKernelBefore();
  H1_DYNAMIC_SHARED(shared);
  constexpr int kStageBytes = (kWeights + kTokens) * 128;
  constexpr int kColumns = kTokens / 16;  // n8 tiles of a warp
  const std::int64_t n0 = static_cast<std::int64_t>(blockIdx.x) * kWeights;
  const std::int64_t row0 = static_cast<std::int64_t>(blockIdx.y) * kTokens;
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int warp_n = warp % 4 * 32, warp_t = warp / 4 * (kTokens / 2);
  const int steps = static_cast<int>(RoundUp(a.k, kPadK) / kStep);
  float sum[2][kColumns][4] = {};
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < steps) CopyStage<kTokens>(a, n0, row0, s * kStep, shared + s * kStageBytes);
    CopyCommit();
  }
  for (int s = 0; s < steps; ++s) {
    CopyWait<kStages - 2>();
    __syncthreads();
    const int next = s + kStages - 1;
    if (next < steps)
      CopyStage<kTokens>(a, n0, row0, static_cast<std::int64_t>(next) * kStep,
                         shared + next % kStages * kStageBytes);
    CopyCommit();
    const unsigned char* weights = shared + s % kStages * kStageBytes;
    const unsigned char* tokens = weights + kWeights * 128;
    H1_UNROLL
    for (int k = 0; k < 4; ++k) {  // 16 of the stage's 64
      unsigned w[2][4];
      H1_UNROLL
      for (int i = 0; i < 2; ++i)
        LoadMatrix4(w[i], weights + Swizzled(warp_n + i * 16 + lane % 16, k * 2 + lane / 16));
      H1_UNROLL
      for (int j = 0; j < kColumns; j += 2) {
        unsigned t[4];
        LoadMatrix4(t, tokens + Swizzled(warp_t + j * 8 + lane / 16 * 8 + lane % 8,
                                         k * 2 + lane / 8 % 2));
        H1_UNROLL
        for (int i = 0; i < 2; ++i) {
          Mma16x8x16(sum[i][j], w[i], t[0], t[1]);
          Mma16x8x16(sum[i][j + 1], w[i], t[2], t[3]);
        }
      }
    }
  }
  H1_UNROLL
  for (int i = 0; i < 2; ++i) {
    H1_UNROLL
    for (int j = 0; j < kColumns; ++j) {
      const std::int64_t n = n0 + warp_n + i * 16 + lane / 4;
      const std::int64_t token = row0 + warp_t + j * 8 + lane % 4 * 2;
      Finish<Bf16>(a, token, n, sum[i][j][0], sum[i][j][2]);
      Finish<Bf16>(a, token + 1, n, sum[i][j][1], sum[i][j][3]);
    }
  }
}

template <int kTokens>
void Run(const GemmArgs& args, Stream stream) {
  const LaunchShape shape{dim3(static_cast<unsigned>(RoundUp(args.n, kPadN) / kWeights),
                               static_cast<unsigned>(CeilDiv(args.rows, kTokens))),
                          dim3(kThreads), SharedBytes<kTokens>()};
  Launch("gemm_mma", MmaKernel<kTokens>, shape, stream, args);
}

}  // namespace

int MmaTokenTile(std::int64_t rows) { return rows <= 32 ? 32 : rows <= 64 ? 64 : 128; }

void GemmMma(const GemmArgs& args, Stream stream) {
  if (args.rows == 0) return;
  switch (MmaTokenTile(args.rows)) {
    case 32:
      return Run<32>(args, stream);
    case 64:
      return Run<64>(args, stream);
    default:
      return Run<128>(args, stream);
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

// Products on Hopper: one warpgroup feeds a ring of tiles with the copy engine, the others
// multiply. A block makes 64 kGroups weight rows by kTokens tokens; a number is one chain of k16
// steps, so neither the tile's width nor its place can change its bits.
#include <algorithm>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/wgmma.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kStep = 64;
constexpr int kRing = 200 * 1024;  // bytes of shared memory for stages
constexpr int kBlocks = 132;       // resident at once on the cards with wgmma; any number is right
constexpr int kBand = 8;           // token tiles that neighbouring blocks share weights over

template <int kTokens, int kGroups>
struct Tile {
  static constexpr int kWeightBytes = 64 * kGroups * 128, kTokenBytes = kTokens * 128;
  static constexpr int kStageBytes = kWeightBytes + kTokenBytes;
  static constexpr int kFits = kRing / kStageBytes;
  static constexpr int kStages = kFits < 12 ? kFits : 12;
  static constexpr int kThreads = 128 * (kGroups + 1);
  static constexpr const char* kName = kTokens == 256   ? "gemm_wgmma_256"
                                       : kTokens == 128 ? "gemm_wgmma_128"
                                                        : "gemm_wgmma_64";
  // Barriers after the ring, and room to align it.
  static constexpr std::size_t kShared =
      static_cast<std::size_t>(kStages) * kStageBytes + 2 * kStages * sizeof(Barrier) + 1024;
};

/// Which tile a block makes: bands of kBand token tiles, and in a band the weights move slowly, so
/// that the blocks running together read few different tiles.
struct TilePlace {
  std::int64_t weight, token;
};
H1_DEVICE TilePlace PlaceOf(std::int64_t block, std::int64_t weight_tiles,
                            std::int64_t token_tiles) {
  const std::int64_t band = block / (kBand * weight_tiles);
  const std::int64_t left = token_tiles - band * kBand;
  const std::int64_t height = left < kBand ? left : kBand;
  const std::int64_t in_band = block - band * kBand * weight_tiles;
  return {in_band / height, band * kBand + in_band % height};
}

/// What an epilogue knows of a thread's two weight rows, n and n + 8.
struct Rows {
  float scale[2], bias[2];
  bool there[2];
};
H1_DEVICE Rows RowsOf(const GemmArgs& a, std::int64_t n) {
  Rows out;
  H1_UNROLL
  for (int i = 0; i < 2; ++i) {
    const std::int64_t row = n + 8 * i;
    out.there[i] = row < a.n;
    const bool add = a.epilogue == Epilogue::kAdd;
    out.scale[i] = add ? a.factor : a.scale != nullptr && out.there[i] ? a.scale[row] : 1.0F;
    out.bias[i] = a.bias != nullptr && out.there[i] ? a.bias[row] : 0.0F;
  }
  return out;
}

/// The same arithmetic as Finish (gemm.h), for a thread's whole share: what depends on the weight
/// row is read once, and the residual's old values before the first store.
template <int kTokens>
H1_DEVICE void FinishTile(const GemmArgs& a, std::int64_t row0, std::int64_t n, int lane,
                          const float (&sum)[kTokens / 2]) {
  if (a.epilogue == Epilogue::kSwiGlu) {
    H1_UNROLL
    for (int j = 0; j < kTokens / 8; ++j) {
      const std::int64_t token = row0 + j * 8 + lane % 4 * 2;
      Finish<Bf16>(a, token, n, sum[j * 4], sum[j * 4 + 2]);
      Finish<Bf16>(a, token + 1, n, sum[j * 4 + 1], sum[j * 4 + 3]);
    }
    return;
  }
  const Rows rows = RowsOf(a, n);
  const bool add = a.epilogue == Epilogue::kAdd;
  float* out = static_cast<float*>(a.out) + (row0 + lane % 4 * 2) * a.ldo + n;
  const std::int64_t left = a.rows - row0 - lane % 4 * 2;
  H1_UNROLL
  for (int j = 0; j < kTokens / 8; j += 2) {
    float old[8];
    H1_UNROLL
    for (int i = 0; i < 8; ++i) {
      const int token = (j + i / 4) * 8 + i % 2, low = i / 2 % 2;
      old[i] = add && token < left && rows.there[low] ? out[token * a.ldo + 8 * low] : 0.0F;
    }
    H1_UNROLL
    for (int i = 0; i < 8; ++i) {
      const int token = (j + i / 4) * 8 + i % 2, low = i / 2 % 2;
      if (token >= left || !rows.there[low]) continue;
      const float v = sum[(j + i / 4) * 4 + i % 4] * rows.scale[low] + rows.bias[low];
      out[token * a.ldo + 8 * low] = add ? old[i] + v : v;
    }
  }
}

/// A block makes tile after tile; the copies for the next run while this one's results leave.
template <int kTokens, int kGroups>
__global__ void __launch_bounds__(Tile<kTokens, kGroups>::kThreads, 1)
    WgmmaKernel(const __grid_constant__ TensorMap weights, const __grid_constant__ TensorMap tokens,
                GemmArgs a, int tiles) {
#if defined(H1_CUDA_EMULATION) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using T = Tile<kTokens, kGroups>;
  H1_DYNAMIC_SHARED(shared);
  auto* const full = reinterpret_cast<Barrier*>(shared + T::kStages * T::kStageBytes);
  Barrier* const empty = full + T::kStages;
  const int thread = static_cast<int>(threadIdx.x), group = thread / 128;
  const int steps = static_cast<int>(RoundUp(a.k, kPadK) / kStep);
  const std::int64_t weight_tiles = CeilDiv(a.n, 64 * kGroups), token_tiles = CeilDiv(a.rows, kTokens);
  if (thread == 0) {
    for (int s = 0; s < T::kStages; ++s) {
      BarrierInit(full + s, 1);
      BarrierInit(empty + s, kGroups * 4);
    }
    BarrierInitFence();
  }
  __syncthreads();
  int slot = 0, phase = 0;  // of the ring, over all tiles
  const auto advance = [&] {
    if (++slot == T::kStages) slot = 0, phase ^= 1;
  };
  if (group == 0) {
    if constexpr (kGroups == 2) FewerRegisters<40>();
    if (thread != 0) return;
    for (int tile = static_cast<int>(blockIdx.x); tile < tiles; tile += static_cast<int>(gridDim.x)) {
      const TilePlace place = PlaceOf(tile, weight_tiles, token_tiles);
      const int n0 = static_cast<int>(place.weight) * 64 * kGroups;
      const int row0 = static_cast<int>(place.token) * kTokens;
      for (int s = 0; s < steps; ++s, advance()) {
        BarrierWait(empty + slot, phase ^ 1);  // free from the start: the phase before the first
        unsigned char* stage = shared + slot * T::kStageBytes;
        BarrierExpect(full + slot, T::kStageBytes);
        CopyTile(stage, &weights, s * kStep, n0, full + slot);
        CopyTile(stage + T::kWeightBytes, &tokens, s * kStep, row0, full + slot);
      }
    }
    return;
  }
  if constexpr (kGroups == 2) MoreRegisters<232>();
  const int lane = thread % kWarp, warp = thread / kWarp % 4;
  float sum[kTokens / 2];
  for (int tile = static_cast<int>(blockIdx.x); tile < tiles; tile += static_cast<int>(gridDim.x)) {
    const TilePlace place = PlaceOf(tile, weight_tiles, token_tiles);
    int before = slot;
    for (int s = 0; s < steps; ++s) {
      BarrierWait(full + slot, phase);
      const unsigned char* stage = shared + slot * T::kStageBytes;
      const unsigned char* own = stage + (group - 1) * 64 * 128;
      WgmmaFence();
      H1_UNROLL
      for (int k = 0; k < 4; ++k)
        Wgmma<kTokens>(sum, own, stage + T::kWeightBytes, k, s > 0 || k > 0);
      WgmmaCommit();
      WgmmaWait<1>();  // the step before has been read
      if (s > 0 && lane == 0) BarrierArrive(empty + before);
      before = slot;
      advance();
    }
    WgmmaWait<0>();
    if (lane == 0) BarrierArrive(empty + before);
    FinishTile<kTokens>(a, place.token * kTokens,
                        (place.weight * kGroups + group - 1) * 64 + warp * 16 + lane / 4, lane, sum);
  }
#endif
}

template <int kTokens, int kGroups>
void Run(const GemmArgs& a, Stream stream) {
  using T = Tile<kTokens, kGroups>;
  const std::int64_t k = RoundUp(a.k, kPadK);
  const TensorMap weights = MakeTensorMap(a.weight, RoundUp(a.n, kPadN), k, 64 * kGroups);
  const TensorMap tokens = MakeTensorMap(a.in, a.rows, a.ldi, kTokens);
  const std::int64_t tiles = CeilDiv(a.n, 64 * kGroups) * CeilDiv(a.rows, kTokens);
  const auto blocks = static_cast<unsigned>(std::min<std::int64_t>(tiles, kBlocks));
  Launch(T::kName, WgmmaKernel<kTokens, kGroups>, {dim3(blocks), dim3(T::kThreads), T::kShared},
         stream, weights, tokens, a, static_cast<int>(tiles));
}

}  // namespace

int WgmmaTokenTile(std::int64_t rows) {
  return rows <= 16 ? 16 : rows <= 32 ? 32 : rows <= 64 ? 64 : rows <= 128 ? 128 : 256;
}

void GemmWgmma(const GemmArgs& args, int token_tile, Stream stream) {
  if (args.rows == 0) return;
  switch (token_tile) {
    case 16:
      return Run<16, 1>(args, stream);
    case 32:
      return Run<32, 1>(args, stream);
    case 64:
      return Run<64, 1>(args, stream);
    case 128:
      return Run<128, 2>(args, stream);
    default:
      return Run<256, 2>(args, stream);
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

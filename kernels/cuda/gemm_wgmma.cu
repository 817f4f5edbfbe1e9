// Products on Hopper: one warpgroup feeds a ring of tiles with the copy engine, the others
// multiply. A block makes 64 kGroups weight rows by kTokens tokens; a number is one chain of k16
// steps, so neither the tile's width nor its place can change its bits.
#include <algorithm>

#include "kernels/cuda/gemm_epilogue.h"
#include "kernels/cuda/wgmma.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kStep = 64;
constexpr int kShared = 227 * 1024;  // bytes of shared memory that a block may have
constexpr int kBlocks = 132;       // resident at once on the cards with wgmma; any number is right
constexpr int kBand = 8;           // token tiles that neighbouring blocks share weights over

template <int kTokens, int kGroups>
struct Tile {
  static constexpr int kWeightBytes = 64 * kGroups * 128, kTokenBytes = kTokens * 128;
  static constexpr int kStageBytes = kWeightBytes + kTokenBytes;
  // Wide tiles leave by the copy engine.
  static constexpr int kOutBytes = kTokens == 256 ? kGroups * kStoreBytes : 0;
  static constexpr int kFits = (kShared - 2048 - kOutBytes) / kStageBytes;
  static constexpr int kStages = kFits < 12 ? kFits : 12;
  static constexpr int kThreads = 128 * (kGroups + 1);
  static constexpr const char* kName = kTokens == 256   ? "gemm_wgmma_256"
                                       : kTokens == 128 ? "gemm_wgmma_128"
                                                        : "gemm_wgmma_64";
  // Room for results and barriers after the ring.
  static constexpr std::size_t kBytes = static_cast<std::size_t>(kStages) * kStageBytes +
                                        kOutBytes + 2 * kStages * sizeof(Barrier) + 1024;
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

/// A block makes tile after tile; the copies for the next run while this one's results leave.
template <int kTokens, int kGroups>
__global__ void __launch_bounds__(Tile<kTokens, kGroups>::kThreads, 1)
    WgmmaKernel(const __grid_constant__ TensorMap weights, const __grid_constant__ TensorMap tokens,
                const __grid_constant__ TensorMap out, GemmArgs a, int tiles, bool by_copies) {
#if defined(H1_CUDA_EMULATION) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using T = Tile<kTokens, kGroups>;
  H1_DYNAMIC_SHARED(shared);
  unsigned char* const results = shared + T::kStages * T::kStageBytes;
  auto* const full = reinterpret_cast<Barrier*>(results + T::kOutBytes);
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
    const std::int64_t n0 = (place.weight * kGroups + group - 1) * 64;
    if constexpr (T::kOutBytes > 0) {
      if (by_copies) {
        StoreTileByCopies<kTokens>(a, &out, static_cast<int>(place.token) * kTokens,
                                   static_cast<int>(n0), thread, group,
                                   results + (group - 1) * kStoreBytes, sum);
        continue;
      }
    }
    FinishTile<kTokens>(a, place.token * kTokens, n0 + warp * 16 + lane / 4, lane, sum);
  }
  if (T::kOutBytes > 0 && by_copies && thread % 128 == 0) StoreWait();
#endif
}

/// Whether the copy engine can address the output.
bool ByCopies(const GemmArgs& a) {
  const std::int64_t element = a.epilogue == Epilogue::kSwiGlu ? 2 : 4;
  return a.ldo * element % 16 == 0 && reinterpret_cast<std::uintptr_t>(a.out) % 16 == 0;
}
TensorMap OutputMap(const GemmArgs& a) {
  const bool swiglu = a.epilogue == Epilogue::kSwiGlu;
  return MakeTensorMap({a.out, a.rows, swiglu ? a.columns : a.n, a.ldo, swiglu ? 2 : 4, kStoreTokens,
                        32});
}

template <int kTokens, int kGroups>
void Run(const GemmArgs& a, Stream stream) {
  using T = Tile<kTokens, kGroups>;
  const std::int64_t k = RoundUp(a.k, kPadK);
  const TensorMap weights =
      MakeTensorMap({a.weight, RoundUp(a.n, kPadN), k, k, 2, 64 * kGroups, kStep});
  const TensorMap tokens = MakeTensorMap({a.in, a.rows, a.ldi, a.ldi, 2, kTokens, kStep});
  const bool by_copies = T::kOutBytes > 0 && ByCopies(a);
  const std::int64_t tiles = CeilDiv(a.n, 64 * kGroups) * CeilDiv(a.rows, kTokens);
  const auto blocks = static_cast<unsigned>(std::min<std::int64_t>(tiles, kBlocks));
  Launch(T::kName, WgmmaKernel<kTokens, kGroups>, {dim3(blocks), dim3(T::kThreads), T::kBytes},
         stream, weights, tokens, by_copies ? OutputMap(a) : tokens, a, static_cast<int>(tiles),
         by_copies);
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

// Products on Hopper: one warpgroup feeds a ring of tiles with the copy engine, two others multiply, 64
// rows of the weight each. A block makes a tile of any number of rows and tokens that suits the
// product's size; a number is one chain of k16 steps, so neither the tile's shape nor its place can
// change its bits.
#include <algorithm>
#include <cmath>

#include "kernels/cuda/gemm_epilogue.h"
#include "kernels/cuda/wgmma.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kStep = 64;
constexpr int kShared = 227 * 1024;  // bytes of shared memory that a block may have
constexpr int kBlocks = 132;         // resident at once on the cards with wgmma; any number is right
constexpr int kBand = 8;             // token tiles that neighbouring blocks share weights over
constexpr int kGroups = 2, kThreads = 128 * (kGroups + 1), kMostStages = 12;

/// A block's shared memory: a ring of stages (a step's weights, then its tokens), results that leave
/// by the copy engine (wide tiles), barriers.
struct Room {
  int weight_bytes, stage_bytes, stages, out_bytes;
  /// A product reads 64 rows, of which the last stage's may lie past its end: other bytes of ours lie
  /// there then, and what they make is not written.
  int past_bytes;
  Room(int tokens, int weights)
      : weight_bytes(weights * 128),
        stage_bytes((weights + tokens) * 128),
        out_bytes(tokens == 256 ? kGroups * kStoreBytes : 0),
        past_bytes(tokens == 256 ? 0 : 64 * 128) {
    stages = std::min(kMostStages, (kShared - 2048 - out_bytes - past_bytes) / stage_bytes);
  }
  std::size_t bytes() const {
    return static_cast<std::size_t>(stages) * static_cast<std::size_t>(stage_bytes) +
           static_cast<std::size_t>(out_bytes + past_bytes) + 2 * kMostStages * sizeof(Barrier);
  }
};

/// Which tile a block makes: bands of kBand token tiles, and in a band the weights move slowly, so
/// that the blocks running together read few different tiles.
struct TilePlace {
  std::int64_t weight, token;
};
[[maybe_unused]] H1_DEVICE TilePlace PlaceOf(std::int64_t block, std::int64_t weight_tiles,
                            std::int64_t token_tiles) {
  const std::int64_t band = block / (kBand * weight_tiles);
  const std::int64_t left = token_tiles - band * kBand;
  const std::int64_t height = left < kBand ? left : kBand;
  const std::int64_t in_band = block - band * kBand * weight_tiles;
  return {in_band / height, band * kBand + in_band % height};
}

/// How one launch cuts the product.
struct Cut {
  int weights, tiles;  // rows of the weight a tile; tiles in all
  bool by_copies;
  Room room;
};

/// A thread's way through the ring, over all tiles.
struct Ring {
  int stages, slot = 0, phase = 0;
  [[maybe_unused]] H1_DEVICE void Next() {
    if (++slot == stages) slot = 0, phase ^= 1;
  }
};

/// The copying thread. Weights depend on nothing: those of the first stages are on their way while the
/// kernel before still runs.
template <int kTokens>
H1_DEVICE void Produce(const TensorMap& weights, const TensorMap& tokens, const GemmArgs& a,
                       const Cut& cut, unsigned char* shared, Barrier* full, Barrier* empty) {
  const int steps = static_cast<int>(RoundUp(a.k, kPadK) / kStep);
  const std::int64_t weight_tiles = CeilDiv(a.n, cut.weights), token_tiles = CeilDiv(a.rows, kTokens);
  const auto copy_weights = [&](const TilePlace& place, int s, int slot) {
    BarrierExpect(full + slot, cut.room.stage_bytes);
    CopyTile(shared + slot * cut.room.stage_bytes, &weights, s * kStep,
             static_cast<int>(place.weight) * cut.weights, full + slot);
  };
  const auto copy_tokens = [&](const TilePlace& place, int s, int slot) {
    CopyTile(shared + slot * cut.room.stage_bytes + cut.room.weight_bytes, &tokens, s * kStep,
             static_cast<int>(place.token) * kTokens, full + slot);
  };
  Ring ring{cut.room.stages};
  int tile = static_cast<int>(blockIdx.x);
  const int ahead = steps < cut.room.stages ? steps : cut.room.stages;
  const TilePlace first = PlaceOf(tile, weight_tiles, token_tiles);
  for (int s = 0; s < ahead; ++s) copy_weights(first, s, s);
  WaitForKernelBefore();
  for (int s = 0; s < ahead; ++s, ring.Next()) copy_tokens(first, s, s);
  for (int s = ahead; tile < cut.tiles; tile += static_cast<int>(gridDim.x), s = 0) {
    const TilePlace place = PlaceOf(tile, weight_tiles, token_tiles);
    for (; s < steps; ++s, ring.Next()) {
      BarrierWait(empty + ring.slot, ring.phase ^ 1);  // free from the start: the phase before
      copy_weights(place, s, ring.slot);
      copy_tokens(place, s, ring.slot);
    }
  }
}

/// A block makes tile after tile; the copies for the next run while this one's results leave.
template <int kTokens>
__global__ void __launch_bounds__(kThreads, kTokens > 64 ? 1 : 2)
    WgmmaKernel(const __grid_constant__ TensorMap weights, const __grid_constant__ TensorMap tokens,
                const __grid_constant__ TensorMap out, GemmArgs a, const Cut cut) {
#if defined(H1_CUDA_EMULATION) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  H1_DYNAMIC_SHARED(shared);
  constexpr bool kWide = kTokens == 256;  // by two groups that hold most registers
  unsigned char* const results = shared + cut.room.stages * cut.room.stage_bytes;
  auto* const full =
      reinterpret_cast<Barrier*>(results + cut.room.out_bytes + cut.room.past_bytes);
  Barrier* const empty = full + kMostStages;
  const int thread = static_cast<int>(threadIdx.x), group = thread / 128;
  const int groups = cut.weights > 64 ? 2 : 1;
  if (thread == 0) {
    for (int s = 0; s < cut.room.stages; ++s) {
      BarrierInit(full + s, 1);
      BarrierInit(empty + s, groups * 4);
    }
    BarrierInitFence();
  }
  __syncthreads();
  if (group == 0) {
    if constexpr (kTokens > 64) FewerRegisters<40>();
    if (thread == 0) Produce<kTokens>(weights, tokens, a, cut, shared, full, empty);
    return;
  }
  if constexpr (kTokens > 64) MoreRegisters<232>();
  if (group > groups) return;
  WaitForKernelBefore();
  const int steps = static_cast<int>(RoundUp(a.k, kPadK) / kStep);
  const std::int64_t weight_tiles = CeilDiv(a.n, cut.weights), token_tiles = CeilDiv(a.rows, kTokens);
  const int lane = thread % kWarp, warp = thread / kWarp % 4;
  Ring ring{cut.room.stages};
  float sum[kTokens / 2];
  for (int tile = static_cast<int>(blockIdx.x); tile < cut.tiles; tile += static_cast<int>(gridDim.x)) {
    const TilePlace place = PlaceOf(tile, weight_tiles, token_tiles);
    int before = ring.slot;
    for (int s = 0; s < steps; ++s) {
      BarrierWait(full + ring.slot, ring.phase);
      const unsigned char* stage = shared + ring.slot * cut.room.stage_bytes;
      const unsigned char* own = stage + (group - 1) * 64 * 128;
      WgmmaFence();
      H1_UNROLL
      for (int k = 0; k < 4; ++k)
        Wgmma<kTokens>(sum, own, stage + cut.room.weight_bytes, k, s > 0 || k > 0);
      WgmmaCommit();
      WgmmaWait<1>();  // the step before has been read
      if (s > 0 && lane == 0) BarrierArrive(empty + before);
      before = ring.slot;
      ring.Next();
    }
    WgmmaWait<0>();
    if (lane == 0) BarrierArrive(empty + before);
    const std::int64_t end = (place.weight + 1) * cut.weights;
    const std::int64_t n0 = place.weight * cut.weights + (group - 1) * 64;
    if constexpr (kWide) {
      if (cut.by_copies) {
        StoreTileByCopies<kTokens>(a, &out, static_cast<int>(place.token) * kTokens,
                                   static_cast<int>(n0), thread, group,
                                   results + (group - 1) * kStoreBytes, sum);
        continue;
      }
    }
    FinishTile<kTokens>(a, place.token * kTokens, n0 + warp * 16 + lane / 4, end, lane, sum);
  }
  if (kWide && cut.by_copies && thread % 128 == 0) StoreWait();
#else
  __trap();  // the table does not choose it where this was compiled for
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

template <int kTokens>
void Run(const GemmArgs& a, int rows_of_weight, Stream stream) {
  const std::int64_t k = RoundUp(a.k, kPadK);
  const TensorMap weights =
      MakeTensorMap({a.weight, RoundUp(a.n, kPadN), k, k, 2, rows_of_weight, kStep});
  const TensorMap tokens = MakeTensorMap({a.in, a.rows, a.ldi, a.ldi, 2, kTokens, kStep});
  const std::int64_t tiles = CeilDiv(a.n, rows_of_weight) * CeilDiv(a.rows, kTokens);
  const Cut cut{rows_of_weight, static_cast<int>(tiles), kTokens == 256 && ByCopies(a),
                Room(kTokens, rows_of_weight)};
  const auto blocks = static_cast<unsigned>(std::min<std::int64_t>(tiles, kBlocks));
  constexpr const char* kName = kTokens == 256   ? "gemm_wgmma_256"
                                : kTokens == 128 ? "gemm_wgmma_128"
                                                 : "gemm_wgmma_64";
  Launch(kName, WgmmaKernel<kTokens>, {dim3(blocks), dim3(kThreads), cut.room.bytes()}, stream,
         weights, tokens, cut.by_copies ? OutputMap(a) : tokens, a, cut);
}

/// Cycles that a product takes on an H200, fitted to 1 896 measured tiles. A step of 64 along k costs a
/// block the longest of: four products that wait for each other; the tensor cores' time; its bytes, 64 a
/// cycle. All blocks together cannot get more than 8 000 bytes a cycle from the cache, nor weights from
/// memory faster than 25 a block and 2 100 in all.
double Cost(const GemmArgs& a, const WgmmaTile& tile) {
  const auto tiles = static_cast<double>(CeilDiv(a.n, tile.weights) * CeilDiv(a.rows, tile.tokens));
  const double rounds = std::ceil(tiles / kBlocks), stage = 128.0 * (tile.weights + tile.tokens);
  const double chain = 272 + 0.6 * tile.tokens;
  const double tensor = 2.0 * tile.tokens * (tile.weights > 64 ? 2 : 1);
  const double memory = std::min(2100.0, 25.0 * std::min<double>(tiles, kBlocks));
  const double step = std::max({rounds * std::max({chain, tensor, stage / 64}), tiles * stage / 8000,
                                static_cast<double>(a.n) * 128 / memory});
  return step * static_cast<double>(CeilDiv(a.k, kStep)) + rounds * 1500;
}

}  // namespace

bool IsWgmmaTile(const WgmmaTile& tile, Epilogue epilogue) {
  const int multiple = tile.tokens == 256 ? 64 : epilogue == Epilogue::kSwiGlu ? 16 : 8;
  return tile.weights >= multiple && tile.weights <= 128 && tile.weights % multiple == 0;
}

WgmmaTile WgmmaTileFor(const GemmArgs& a) {
  WgmmaTile best{256, 128};
  if (a.rows > 1024) return best;
  double least = Cost(a, best);
  for (const int tokens : {256, 128, 64, 32, 16}) {
    if (tokens > 16 && tokens / 2 >= a.rows) continue;
    for (int weights = 128; weights > 0; weights -= 8) {
      const WgmmaTile tile{tokens, weights};
      if (!IsWgmmaTile(tile, a.epilogue) || Cost(a, tile) >= least) continue;
      best = tile;
      least = Cost(a, tile);
    }
  }
  return best;
}

void GemmWgmma(const GemmArgs& args, const WgmmaTile& tile, Stream stream) {
  if (args.rows == 0) return;
  switch (tile.tokens) {
    case 16:
      return Run<16>(args, tile.weights, stream);
    case 32:
      return Run<32>(args, tile.weights, stream);
    case 64:
      return Run<64>(args, tile.weights, stream);
    case 128:
      return Run<128>(args, tile.weights, stream);
    default:
      return Run<256>(args, tile.weights, stream);
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

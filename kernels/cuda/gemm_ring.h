#pragma once

#include <algorithm>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/hopper.h"

/// How a block of Hopper's products (gemm_wgmma.cu) gets its operands: two threads feed a ring of
/// stages in shared memory by the copy engine, one weights and one tokens, tile after tile;
/// consumers free them.
namespace h1bench::H1_CUDA_NAMESPACE::ring {

inline constexpr int kStep = 64;            // of a panel along k
inline constexpr int kShared = 227 * 1024;  // bytes of shared memory that a block may have
inline constexpr int kBlocks =
    132;                         // resident at once on the cards with wgmma; any number is right
inline constexpr int kBand = 8;  // token tiles that neighbouring blocks share weights over
inline constexpr int kMostStages = 12;

/// Panels of a stage. A turn of the copying threads' loop takes longer than a narrow tile's bytes
/// or products of one panel.
H1_HOST_DEVICE constexpr int Panels(int tokens) { return tokens >= 128 ? 1 : 2; }

/// A block's shared memory: the ring (of a stage, the weights' panels and then the tokens', in rows
/// of 128 swizzled bytes), `behind` bytes for the kernel, barriers.
struct Room {
  int weight_bytes, token_bytes, stage_bytes, stages, behind;  // the first two: of a panel
  Room(int tokens, int weights, int behind_)
      : weight_bytes(weights * 128),
        token_bytes(tokens * 128),
        stage_bytes(Panels(tokens) * (weight_bytes + token_bytes)),
        stages(std::min(kMostStages, (kShared - 2048 - behind_) / stage_bytes)),
        behind(behind_) {}
  std::size_t bytes() const {
    return static_cast<std::size_t>(stages) *
               (static_cast<std::size_t>(stage_bytes) + 2 * sizeof(Barrier)) +
           static_cast<std::size_t>(behind);
  }
#if defined(__CUDACC__) || defined(H1_CUDA_EMULATION)
  /// One for every stage that says it is full, then one each that says it is free.
  H1_DEVICE Barrier* barriers(unsigned char* shared) const {
    return reinterpret_cast<Barrier*>(shared + stages * stage_bytes + behind);
  }
#endif
};

/// How one launch cuts a product into tiles.
struct Cut {
  int weights, tiles;  // rows of the weight a tile; tiles in all
  Room room;
  Cut(const GemmArgs& a, int tokens, int weights_, int behind)
      : weights(weights_),
        tiles(static_cast<int>(CeilDiv(a.n, weights_) * CeilDiv(a.rows, tokens))),
        room(tokens, weights_, behind) {}
  unsigned blocks() const { return static_cast<unsigned>(std::min(tiles, kBlocks)); }
};

/// What the copy engine reads: a stage's panels of kStep columns at once.
struct Operands {
  TensorMap weights, tokens;
  Operands(const GemmArgs& a, int token_rows, int weight_rows) {
    const std::int64_t k = RoundUp(a.k, kPadK);
    const int panels = Panels(token_rows);
    weights = MakeTensorMap({a.weight, RoundUp(a.n, kPadN), k, k, 2, weight_rows, kStep, panels});
    tokens = MakeTensorMap({a.in, a.rows, k, a.ldi, 2, token_rows, kStep, panels});
  }
};

#if defined(__CUDACC__) || defined(H1_CUDA_EMULATION)

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

#if defined(H1_CUDA_EMULATION) || (defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900)

/// By all threads of the block; `consumers`: arrivals that free a stage.
H1_DEVICE void InitBarriers(const Room& room, unsigned char* shared, int consumers) {
  if (threadIdx.x == 0) {
    Barrier* const full = room.barriers(shared);
    for (int s = 0; s < room.stages; ++s) {
      BarrierInit(full + s, 2);
      BarrierInit(full + room.stages + s, consumers);
    }
    BarrierInitFence();
  }
  __syncthreads();
}

/// One operand's panels of every stage of every tile, by one thread. `first`: the operand's first
/// byte in a stage; `row_of`: its first row of a tile.
template <int kPanels, typename RowOf>
H1_DEVICE void Feed(const TensorMap& map, const Cut& cut, int steps, unsigned char* shared,
                    int first, int panel_bytes, const RowOf& row_of) {
  Barrier *const full = cut.room.barriers(shared), *const empty = full + cut.room.stages;
  Ring ring{cut.room.stages};
  for (int tile = static_cast<int>(blockIdx.x); tile < cut.tiles;
       tile += static_cast<int>(gridDim.x)) {
    const int row = row_of(tile);
    for (int s = 0; s < steps; s += kPanels, ring.Next()) {
      BarrierWait(empty + ring.slot, ring.phase ^ 1);  // free from the start: the phase before
      BarrierExpect(full + ring.slot, kPanels * panel_bytes);  // past the end there are zeros
      CopyPanels(shared + ring.slot * cut.room.stage_bytes + first, &map, s, row, full + ring.slot);
    }
  }
}

/// The copying threads. Weights depend on nothing: they are on their way while the kernel before
/// still runs.
template <int kTokens>
H1_DEVICE void Produce(bool of_weights, const TensorMap& weights, const TensorMap& tokens,
                       const GemmArgs& a, const Cut& cut, unsigned char* shared) {
  constexpr int kPanels = Panels(kTokens);
  const int steps = static_cast<int>(RoundUp(a.k, kPadK) / kStep);
  const std::int64_t weight_tiles = CeilDiv(a.n, cut.weights),
                     token_tiles = CeilDiv(a.rows, kTokens);
  if (of_weights) {
    Feed<kPanels>(weights, cut, steps, shared, 0, cut.room.weight_bytes, [&](int tile) {
      return static_cast<int>(PlaceOf(tile, weight_tiles, token_tiles).weight) * cut.weights;
    });
    return;
  }
  WaitForKernelBefore();
  Feed<kPanels>(tokens, cut, steps, shared, kPanels * cut.room.weight_bytes, cut.room.token_bytes,
                [&](int tile) {
                  return static_cast<int>(PlaceOf(tile, weight_tiles, token_tiles).token) * kTokens;
                });
}

#endif
#endif

}  // namespace h1bench::H1_CUDA_NAMESPACE::ring

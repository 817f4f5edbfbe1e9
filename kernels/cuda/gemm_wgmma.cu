// Products on Hopper: one warpgroup feeds a ring of tiles by the copy engine, two others multiply, 64
// rows of the weight each. A block makes a tile of any number of rows and tokens that suits the
// product's size; a number is one chain of k16 steps, so neither the tile's shape nor its place can
// change its bits.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/cuda/gemm_epilogue.h"
#include "kernels/cuda/gemm_ring.h"
#include "kernels/cuda/wgmma.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

using ring::Cut;
using ring::kBlocks;
using ring::kStep;

constexpr int kGroups = 2, kThreads = 128 * (kGroups + 1);

/// Shared memory behind the ring: results that leave by the copy engine (wide tiles); or what a product
/// of 64 rows reads past the end of the last stage's, which may be fewer (what those make is not written).
constexpr int BehindRing(int tokens) { return tokens == 256 ? kGroups * kStoreBytes : 64 * 128; }

/// A block makes tile after tile; the copies for the next run while this one's results leave.
template <int kTokens>
__global__ void __launch_bounds__(kThreads, kTokens > 64 ? 1 : 2)
    WgmmaKernel(const __grid_constant__ TensorMap weights, const __grid_constant__ TensorMap tokens,
                const __grid_constant__ TensorMap out, GemmArgs a, const Cut cut, bool by_copies) {
#if defined(H1_CUDA_EMULATION) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  H1_DYNAMIC_SHARED(shared);
  constexpr bool kWide = kTokens == 256;  // by two groups that hold most registers
  constexpr int kPanels = ring::Panels(kTokens);
  unsigned char* const results = shared + cut.room.stages * cut.room.stage_bytes;
  Barrier *const full = cut.room.barriers(shared), *const empty = full + cut.room.stages;
  const int thread = static_cast<int>(threadIdx.x), group = Uniform(thread / 128);
  const int groups = cut.weights > 64 ? 2 : 1;
  ring::InitBarriers(cut.room, shared, groups * 4);
  if (group == 0) {
    if constexpr (kTokens > 64) FewerRegisters<40>();
    if (thread % kWarp == 0 && thread / kWarp < 2)
      ring::Produce<kTokens>(thread == 0, weights, tokens, a, cut, shared);
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
    const ring::TilePlace place = ring::PlaceOf(tile, weight_tiles, token_tiles);
    int before = ring.slot;
    const auto multiply = [&](int s, auto panels) {
      BarrierWait(full + ring.slot, ring.phase);
      const unsigned char* stage = shared + ring.slot * cut.room.stage_bytes;
      const unsigned char* own = stage + (group - 1) * 64 * 128;
      const unsigned char* token_panels = stage + kPanels * cut.room.weight_bytes;
      WgmmaFence();
      H1_UNROLL
      for (int p = 0; p < panels(); ++p) {
        H1_UNROLL
        for (int k = 0; k < 4; ++k) {
          Wgmma<kTokens>(sum, own + p * cut.room.weight_bytes, token_panels + p * kTokens * 128, k,
                         s > 0 || p > 0 || k > 0);
        }
      }
      WgmmaCommit();
      WgmmaWait<1>();  // the stage before has been read
      if (s > 0 && lane == 0) BarrierArrive(empty + before);
      before = ring.slot;
      ring.Next();
    };
    int s = 0;
    for (; s + kPanels <= steps; s += kPanels) multiply(s, std::integral_constant<int, kPanels>{});
    if (s < steps) multiply(s, std::integral_constant<int, 1>{});
    WgmmaWait<0>();
    if (lane == 0) BarrierArrive(empty + before);
    const std::int64_t end = (place.weight + 1) * cut.weights;
    const std::int64_t n0 = place.weight * cut.weights + (group - 1) * 64;
    if constexpr (kWide) {
      if (by_copies) {
        const StorePlace at{static_cast<int>(place.token) * kTokens, static_cast<int>(n0), thread,
                            group, results + (group - 1) * kStoreBytes};
        if (a.epilogue == Epilogue::kSwiGlu) {
          StoreSwiGlu<kTokens>(a, &out, at, sum);
        } else {
          StoreRows<kTokens>(a, &out, at, sum);
        }
        continue;
      }
    }
    FinishTile<kTokens>(a, place.token * kTokens, n0 + warp * 16 + lane / 4, end, lane, sum);
  }
  if (kWide && by_copies && thread % 128 == 0) StoreWait();
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
  return MakeTensorMap({a.out, a.rows, swiglu ? a.columns : a.n, a.ldo, swiglu ? 2 : 4,
                        TokensOfCopy(a.epilogue), 32});
}

template <int kTokens>
void Run(const GemmArgs& a, int rows_of_weight, Stream stream) {
  const ring::Operands operands(a, kTokens, rows_of_weight);
  const Cut cut(a, kTokens, rows_of_weight, BehindRing(kTokens));
  const bool by_copies = kTokens == 256 && ByCopies(a);
  constexpr const char* kName = kTokens == 256   ? "gemm_wgmma_256"
                                : kTokens == 128 ? "gemm_wgmma_128"
                                                 : "gemm_wgmma_64";
  const LaunchShape shape{dim3(cut.blocks()), dim3(kThreads), cut.room.bytes()};
  Launch(kName, WgmmaKernel<kTokens>, shape, stream, operands.weights, operands.tokens,
         by_copies ? OutputMap(a) : operands.tokens, a, cut, by_copies);
}

/// Cycles that a product takes on an H200, fitted to 2 568 tiles measured in graphs (1 to 512 tokens of
/// 0.5B, 3B and 7B: the tile taken is 1.2 % slower than the best in the mean, 11 % at worst). A step of
/// 64 along k costs a block its turn of the ring, the tensor cores' time and its bytes, 65 a cycle; all
/// blocks together get weights at 2 580 bytes a cycle. The longest counts, and those near it a little.
double Cycles(const GemmArgs& a, const WgmmaTile& tile) {
  const auto tiles = static_cast<double>(CeilDiv(a.n, tile.weights) * CeilDiv(a.rows, tile.tokens));
  const double rounds = std::ceil(tiles / kBlocks), stage = 128.0 * (tile.weights + tile.tokens);
  const double turn = 93 + 0.32 * tile.tokens;
  const double tensor = 2.35 * tile.tokens * (tile.weights > 64 ? 2 : 1);
  double sum = 0;
  for (const double part : {rounds * turn, rounds * tensor, rounds * stage / 65,
                            static_cast<double>(a.n) * 128 / 2580})
    sum += part * part * part * part;
  return std::sqrt(std::sqrt(sum)) * static_cast<double>(CeilDiv(a.k, kStep)) +
         rounds * (1072 + 18.7 * tile.tokens);
}

}  // namespace

bool IsWgmmaTile(const WgmmaTile& tile, Epilogue epilogue) {
  const int multiple = tile.tokens == 256 ? 64 : epilogue == Epilogue::kSwiGlu ? 16 : 8;
  return tile.weights >= multiple && tile.weights <= 128 && tile.weights % multiple == 0;
}

/// Of a chosen tile: fewer are copied more slowly than Cycles says.
constexpr int kFewestRows = 32;

WgmmaTile WgmmaTileFor(const GemmArgs& a) {
  WgmmaTile best{256, 128};
  if (a.rows > 1024) return best;
  double least = Cycles(a, best);
  for (const int tokens : {256, 128, 64, 32, 16}) {
    if (tokens > 16 && tokens / 2 >= a.rows) continue;
    for (int weights = 128; weights >= kFewestRows; weights -= 8) {
      const WgmmaTile tile{tokens, weights};
      if (!IsWgmmaTile(tile, a.epilogue) || Cycles(a, tile) >= least) continue;
      best = tile;
      least = Cycles(a, tile);
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

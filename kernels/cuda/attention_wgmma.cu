// Attention on Hopper, FlashAttention-3's way: one warpgroup brings keys and values in tiles of 128
// into a ring, two others each own 64 query rows and compute a tile's scores while the tile before
// is weighed. A query row is a (token, query head of the kv head's group), so that a decode step's
// few heads share one read of the keys.
#include "kernels/cuda/attention.h"
#include "kernels/cuda/wgmma_registers.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kKeys = 128, kQueryRows = 128, kGroupRows = 64;
constexpr int kHalf = kKeys / 2;  // keys that lie in one page
constexpr int kThreads = 384, kSlots = 4;
// The plain sm_80 pass compiles none of what follows but the kernel's name.
static_assert(kPageTokens == kHalf);
static_assert(kKeys % kKeyTile == 0 && kQueryRows == kAttentionRows);

template <int kHd>
struct Shared {
  unsigned char q[kQueryRows * kHd * 2];
  unsigned char tiles[kSlots][kKeys * kHd * 2];  // keys and values in turn
  Barrier full[kSlots], empty[kSlots];
};

/// Where a block works. Positions fit an int: a sequence has at most 2^31 tokens.
struct Work {
  std::int64_t kv_head, group, layer;
  int first;  // of the segment's rows
  int base;   // position of the segment's first row
  int last;   // position of the last query
};
/// Tiles of keys up to the last query's.
[[maybe_unused]] H1_DEVICE int Tiles(const Work& at) { return at.last / kKeys + 1; }

/// 64 keys (or values) from key `first` on to rows `row0` and on of a tile: those below `split` from
/// their page, the others from this Forward's rows. What lies past the last query repeats it and
/// weighs nothing.
template <int kHd>
H1_DEVICE void CopyHalf(const Bf16* page, const Bf16* own, std::int64_t own_stride, int split,
                        int end, int row0, unsigned char* to) {
  constexpr int kPieces = kHd / 8, kRowsAtOnce = 128 / kPieces;
  const int thread = static_cast<int>(threadIdx.x), piece = thread % kPieces;
  int row = thread / kPieces;
  unsigned char* place = to + PanelSwizzled(row0 + row, piece, kKeys);
  if (split >= kHalf || (split <= 0 && end >= kHalf)) {  // one source: nothing to ask on the way
    const std::int64_t stride = split >= kHalf ? kHd : own_stride;
    const Bf16* from = (split >= kHalf ? page : own - split * own_stride) + row * stride + piece * 8;
    H1_UNROLL
    for (int i = 0; i < kHalf / kRowsAtOnce; ++i) {
      CopyAsync16(place + i * kRowsAtOnce * 128, from);
      from += kRowsAtOnce * stride;
    }
    return;
  }
  for (int i = 0; i < kHalf / kRowsAtOnce; ++i, row += kRowsAtOnce) {
    const int there = row < end ? row : end - 1;
    const Bf16* from = there < split ? page + there * kHd : own + (there - split) * own_stride;
    CopyAsync16(place + i * kRowsAtOnce * 128, from + piece * 8);
  }
}

/// The ring's load `j`, by the 128 threads of the first warpgroup.
template <int kHd>
H1_DEVICE void CopyLoad(const Dims& d, const StateLayout& layout, const DeviceBatch& batch,
                        const Buffers& buffers, const DeviceSegment& segment, const Work& at, int j,
                        unsigned char* to) {
  const std::int64_t width = d.kv_heads * kHd;
  const void* const rows = j % 2 == 0 ? buffers.k : buffers.v;
  const Bf16* const own =
      static_cast<const Bf16*>(rows) + segment.first_row * width + at.kv_head * kHd;
  H1_UNROLL
  for (int half = 0; half < 2; ++half) {
    // A half past the last query repeats the tile's first keys: any numbers will do.
    int first = j / 2 * kKeys + half * kHalf;
    if (first > at.last) first -= kHalf;
    const std::byte* page = nullptr;
    if (first < at.base) {
      page = batch.pages[segment.first_page + first / kPageTokens] +
             layout.key_at(at.layer, at.kv_head, first) +
             (j % 2 == 0 ? 0 : d.kv_heads * layout.head_bytes);
    }
    const int split = at.base - first;  // keys before the segment; negative: all are its own
    CopyHalf<kHd>(reinterpret_cast<const Bf16*>(page), own, width, split, at.last + 1 - first,
                  half * kHalf, to);
  }
}

template <int kHd>
H1_DEVICE void Produce(const Dims& d, const StateLayout& layout, const DeviceBatch& batch,
                       const Buffers& buffers, const DeviceSegment& segment, const Work& at,
                       Shared<kHd>& shared) {
  Ring ring{kSlots};  // load j is tile j / 2's keys (even j) or values (odd j)
  for (int j = 0; j < 2 * Tiles(at); ++j, ring.Next()) {
    BarrierWait(shared.empty + ring.slot, ring.phase ^ 1);  // free from the start
    CopyLoad<kHd>(d, layout, batch, buffers, segment, at, j, shared.tiles[ring.slot]);
    CopyArrive(shared.full + ring.slot);
  }
  CopyWait<0>();
}

/// A consumer's 64 query rows; rows past the segment's last token repeat it.
template <int kHd>
H1_DEVICE void CopyQueries(const Dims& d, const Buffers& buffers, const DeviceSegment& segment,
                           const Work& at, int row0, Shared<kHd>& shared) {
  for (int i = static_cast<int>(threadIdx.x) % 128; i < kGroupRows * kHd / 8; i += 128) {
    const int row = row0 + i / (kHd / 8), piece = i % (kHd / 8);
    std::int64_t token = at.first + row / at.group;
    if (token >= segment.rows) token = segment.rows - 1;
    const std::int64_t head = at.kv_head * at.group + row % at.group;
    const Bf16* q = static_cast<const Bf16*>(buffers.q) +
                    ((segment.first_row + token) * d.heads + head) * kHd;
    CopyAsync16(shared.q + PanelSwizzled(row, piece, kQueryRows), q + piece * 8);
  }
  CopyCommit();
  CopyWait<0>();
  StoreFence();
}

/// Until a load is there, for products to read.
template <int kHd>
H1_DEVICE void WaitForLoad(const Ring& ring, Shared<kHd>& shared) {
  BarrierWait(shared.full + ring.slot, ring.phase);
  StoreFence();  // the copies were ordinary ones
}

/// s = queries times keys; asynchronous.
template <int kHd>
H1_DEVICE void Scores(const unsigned char* q, const unsigned char* keys, float (&s)[kKeys / 2]) {
  WgmmaFence();
  H1_UNROLL
  for (int k = 0; k < kHd / 16; ++k)
    Wgmma<kKeys>(s, q + k / 4 * kQueryRows * 128, keys + k / 4 * kKeys * 128, k % 4, k > 0);
  WgmmaCommit();
}

/// out (+)= weights times values; asynchronous.
template <int kHd>
H1_DEVICE void Values(const unsigned (&weights)[kKeys / 16][4], const unsigned char* values, bool add,
                      float (&out)[kHd / 2]) {
  WgmmaFence();
  H1_UNROLL
  for (int k = 0; k < kKeys / 16; ++k)
    WgmmaFromRegisters<kHd, kKeys>(out, weights[k], values, k, add || k > 0);
  WgmmaCommit();
}

/// Online softmax of rows l / 4 and l / 4 + 8: scores to weights. `seen`: the last key of the tile
/// that a row sees; `alpha`: what its earlier numbers weigh now, exactly 1 when no key of the tile
/// is seen.
template <bool kMask>
H1_DEVICE void Softmax(float (&s)[kKeys / 2], const int (&seen)[2], float scale, float (&max)[2],
                       float (&sum)[2], float (&alpha)[2]) {
  const int column = static_cast<int>(threadIdx.x) % 4 * 2;
  H1_UNROLL
  for (int half = 0; half < 2; ++half) {
    float best = max[half];
    H1_UNROLL
    for (int j = 0; j < kKeys / 8; ++j) {
      H1_UNROLL
      for (int i = 0; i < 2; ++i) {
        float& v = s[j * 4 + half * 2 + i];
        if (kMask && j * 8 + column + i > seen[half]) v = -INFINITY;
        best = fmaxf(best, v);
      }
    }
    best = fmaxf(best, __shfl_xor_sync(kAllLanes, best, 1));
    best = fmaxf(best, __shfl_xor_sync(kAllLanes, best, 2));
    const float base = best == -INFINITY ? 0.0F : best * scale;
    alpha[half] = Exp2(max[half] * scale - base);
    float tile[2] = {};  // two chains: additions wait for each other
    H1_UNROLL
    for (int j = 0; j < kKeys / 8; ++j) {
      H1_UNROLL
      for (int i = 0; i < 2; ++i) {
        float& v = s[j * 4 + half * 2 + i];
        v = Exp2(fmaf(v, scale, -base));
        tile[i] = tile[i] + v;
      }
    }
    sum[half] = sum[half] * alpha[half] + (tile[0] + tile[1]);  // of this lane's columns
    max[half] = best;
  }
}

[[maybe_unused]] H1_DEVICE void PackWeights(const float (&s)[kKeys / 2], unsigned (&weights)[kKeys / 16][4]) {
  H1_UNROLL
  for (int k = 0; k < kKeys / 16; ++k) {
    H1_UNROLL
    for (int i = 0; i < 4; ++i) weights[k][i] = PackBf16(s[k * 8 + i * 2], s[k * 8 + i * 2 + 1]);
  }
}

/// What a consumer knows of its 64 rows: `seen` first counts from position 0.
struct Rows {
  int row0, tiles, unmasked;  // tiles it sees, and of these such that all its rows see whole
  int seen[2];
  H1_DEVICE Rows(const Work& at, int consumer) : row0(consumer * kGroupRows) {
    const int thread = static_cast<int>(threadIdx.x), group = static_cast<int>(at.group);
    const int start = at.base + at.first, first = start + row0 / group;
    const int end = start + (row0 + kGroupRows - 1) / group;
    tiles = first > at.last ? 0 : (end < at.last ? end : at.last) / kKeys + 1;
    unmasked = (first + 1) / kKeys;
    H1_UNROLL
    for (int half = 0; half < 2; ++half)
      seen[half] = start + (row0 + thread / kWarp % 4 * 16 + half * 8 + thread % kWarp / 4) / group;
  }
};

/// A consumer's whole way through the keys: out, sum and max of its rows.
template <int kHd>
H1_DEVICE void Consume(const Work& at, Rows& rows, float scale, Shared<kHd>& shared,
                       float (&out)[kHd / 2], float (&sum)[2]) {
  const bool leader = threadIdx.x % kWarp == 0;
  const unsigned char* const q = shared.q + rows.row0 * 128;
  float s[kKeys / 2], max[2] = {-INFINITY, -INFINITY}, alpha[2];
  unsigned weights[kKeys / 16][4];
  Ring ring{kSlots}, values{kSlots};  // the next load; the load of the values to be weighed
  const auto release = [&](const Ring& at_slot) {
    if (leader) BarrierArrive(shared.empty + at_slot.slot);
  };
  const auto step_rows = [&] { rows.seen[0] -= kKeys, rows.seen[1] -= kKeys; };
  WaitForLoad(ring, shared);
  if (rows.tiles > 0) {
    Scores<kHd>(q, shared.tiles[ring.slot], s);
    WgmmaWait<0>();
    WgmmaHold(s);
    Softmax<true>(s, rows.seen, scale, max, sum, alpha);
    PackWeights(s, weights);
  }
  release(ring);
  ring.Next(), values = ring, ring.Next();
  const auto step = [&](int t, auto softmax) {
    WaitForLoad(ring, shared);
    Scores<kHd>(q, shared.tiles[ring.slot], s);
    WaitForLoad(values, shared);
    Values<kHd>(weights, shared.tiles[values.slot], t > 1, out);
    WgmmaWait<1>();
    WgmmaHold(s);
    release(ring);
    step_rows();
    softmax();
    WgmmaHold(s);  // the exponentials run beside the product of the values
    WgmmaWait<0>();
    WgmmaHold(out);
    release(values);
    H1_UNROLL
    for (int i = 0; i < kHd / 2; ++i) out[i] = out[i] * alpha[i / 2 % 2];
    PackWeights(s, weights);
    ring.Next(), values = ring, ring.Next();
  };
  int t = 1;
  for (; t < rows.unmasked && t < rows.tiles; ++t)
    step(t, [&] { Softmax<false>(s, rows.seen, scale, max, sum, alpha); });
  for (; t < rows.tiles; ++t)
    step(t, [&] { Softmax<true>(s, rows.seen, scale, max, sum, alpha); });
  WaitForLoad(values, shared);
  if (rows.tiles > 0) {
    Values<kHd>(weights, shared.tiles[values.slot], rows.tiles > 1, out);
    WgmmaWait<0>();
    WgmmaHold(out);
  }
  release(values);
  for (int j = 2 * (rows.tiles > 0 ? rows.tiles : 1); j < 2 * Tiles(at); ++j, ring.Next()) {
    BarrierWait(shared.full + ring.slot, ring.phase);  // the other consumer's
    release(ring);
  }
}

template <int kHd>
H1_DEVICE void WriteRows(const Dims& d, const Buffers& buffers, const DeviceSegment& segment,
                         const Work& at, const Rows& rows, std::int64_t ldo,
                         const float (&out)[kHd / 2], const float (&sum)[2]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp % 4;
  const int used = kQueryRows / static_cast<int>(at.group) * static_cast<int>(at.group);
  H1_UNROLL
  for (int half = 0; half < 2; ++half) {
    float total = sum[half] + __shfl_xor_sync(kAllLanes, sum[half], 1);
    total = total + __shfl_xor_sync(kAllLanes, total, 2);
    const int row = rows.row0 + warp * 16 + half * 8 + lane / 4;
    const std::int64_t token = at.first + row / at.group;
    if (row >= used || token >= segment.rows) continue;
    const float factor = d.attention_out / total;
    Bf16* to = static_cast<Bf16*>(buffers.mixed) + (segment.first_row + token) * ldo + d.ssm_inner +
               (at.kv_head * at.group + row % at.group) * kHd + lane % 4 * 2;
    H1_UNROLL
    for (int j = 0; j < kHd / 8; ++j) {
      *reinterpret_cast<unsigned*>(to + j * 8) =
          PackBf16(out[j * 4 + half * 2] * factor, out[j * 4 + half * 2 + 1] * factor);
    }
  }
}

template <int kHd>
__global__ void __launch_bounds__(kThreads, 1)
    WgmmaKernel(Dims d, StateLayout layout, DeviceBatch batch, Buffers buffers, std::int64_t layer,
                float scale, std::int64_t ldo) {
#if defined(H1_CUDA_EMULATION) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  WaitForKernelBefore();
  H1_DYNAMIC_SHARED(bytes);
  auto& shared = *reinterpret_cast<Shared<kHd>*>(bytes);
  const AttentionTile tile = batch.tiles[blockIdx.x];
  const DeviceSegment segment = batch.segments[tile.segment];
  Work at{static_cast<std::int64_t>(blockIdx.y), d.heads / d.kv_heads, layer, tile.first,
          static_cast<int>(segment.position), 0};
  const int tokens = kQueryRows / static_cast<int>(at.group);
  at.last = at.base + (at.first + tokens < segment.rows ? at.first + tokens : segment.rows) - 1;
  const int warpgroup = Uniform(static_cast<int>(threadIdx.x) / 128);
  if (threadIdx.x == 0) {
    for (int i = 0; i < kSlots; ++i) {
      BarrierInit(shared.full + i, 128);
      BarrierInit(shared.empty + i, 2 * 4);
    }
    BarrierInitFence();
  }
  __syncthreads();
  if (warpgroup == 0) {
    FewerRegisters<40>();
    Produce<kHd>(d, layout, batch, buffers, segment, at, shared);
    return;
  }
  MoreRegisters<232>();
  Rows rows(at, warpgroup - 1);
  CopyQueries<kHd>(d, buffers, segment, at, rows.row0, shared);
  GroupBarrier(warpgroup);
  float out[kHd / 2] = {}, sum[2] = {};
  Consume<kHd>(at, rows, scale * kLog2E, shared, out, sum);
  WriteRows<kHd>(d, buffers, segment, at, rows, ldo, out, sum);
#else
  __trap();  // the table does not choose it where this was compiled for
#endif
}

template <int kHd>
void Run(const StageContext& c, std::int64_t layer) {
  const Dims& d = c.dims;
  const LaunchShape shape{
      dim3(static_cast<unsigned>(c.batch.tile_count), static_cast<unsigned>(d.kv_heads)),
      dim3(kThreads), sizeof(Shared<kHd>)};
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(d.head_dim)));
  Launch("attention_wgmma", WgmmaKernel<kHd>, shape, c.stream, d, c.layout, c.batch, c.buffers,
         layer, scale, RoundUp(d.ssm_inner + d.heads * d.head_dim, kPadK));
}

}  // namespace

void AttendWgmma(const StageContext& c, std::int64_t layer) {
  if (c.dims.head_dim == 64) {
    Run<64>(c, layer);
  } else {
    Run<128>(c, layer);
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

// Attention on the tensor cores, FlashAttention's way: 128 query rows a block, keys in tiles of 64.
// A query row is a (token, query head of the kv head's group), so that a decode step's few heads
// share one read of the keys.
#include <algorithm>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/tensor.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kQueryRows = kAttentionRows;
constexpr int kThreads = 256;

template <int kHd>
constexpr std::size_t SharedBytes() {
  return static_cast<std::size_t>(kQueryRows + 4 * kKeyTile) * kHd * 2;  // q, two tiles of k and v
}

struct Place {
  std::int64_t kv_head, group, layer;
  int first;  // of the segment's rows
};

template <int kHd>
H1_DEVICE void CopyQueries(const Dims& d, const Buffers& buffers, const DeviceSegment& segment,
                           const Place& at, unsigned char* shared) {
  for (int i = static_cast<int>(threadIdx.x); i < kQueryRows * kHd / 8; i += kThreads) {
    const int row = i / (kHd / 8), piece = i % (kHd / 8);
    std::int64_t token = at.first + row / at.group;
    if (token >= segment.rows) token = segment.rows - 1;
    const std::int64_t head = at.kv_head * at.group + row % at.group;
    const Bf16* q = static_cast<const Bf16*>(buffers.q) +
                    ((segment.first_row + token) * d.heads + head) * kHd;
    CopyAsync16(shared + PanelSwizzled(row, piece, kQueryRows), q + piece * 8);
  }
}

static_assert(kPageTokens % kKeyTile == 0, "a tile of keys lies in one page");

/// A tile's keys and values; positions past the last one repeat it and weigh nothing. Keys before
/// the segment lie in one page, the segment's own in this Forward's rows.
template <int kHd>
H1_DEVICE void CopyKeys(const Dims& d, const StateLayout& layout, const DeviceBatch& batch,
                        const Buffers& buffers, const DeviceSegment& segment, const Place& at,
                        std::int64_t first, std::int64_t last, unsigned char* keys,
                        unsigned char* values) {
  const std::byte* page = nullptr;
  if (first < segment.position) {
    page = batch.pages[segment.first_page + first / kPageTokens] +
           layout.key_at(at.layer, at.kv_head, first);
  }
  const std::int64_t width = d.kv_heads * kHd;
  const std::int64_t own = segment.first_row * width + at.kv_head * kHd;
  const Bf16* own_keys = static_cast<const Bf16*>(buffers.k) + own;
  const Bf16* own_values = static_cast<const Bf16*>(buffers.v) + own;
  H1_UNROLL
  for (int i = 0; i < kKeyTile * kHd / 8 / kThreads; ++i) {
    const int index = i * kThreads + static_cast<int>(threadIdx.x);
    const int row = index / (kHd / 8), piece = index % (kHd / 8);
    const std::int64_t p = first + row <= last ? first + row : last;
    const Bf16 *key, *value;
    if (p >= segment.position) {
      key = own_keys + (p - segment.position) * width;
      value = own_values + (p - segment.position) * width;
    } else {
      key = reinterpret_cast<const Bf16*>(page) + (p - first) * kHd;
      value = reinterpret_cast<const Bf16*>(page + d.kv_heads * layout.head_bytes) +
              (p - first) * kHd;
    }
    CopyAsync16(keys + PanelSwizzled(row, piece, kKeyTile), key + piece * 8);
    CopyAsync16(values + PanelSwizzled(row, piece, kKeyTile), value + piece * 8);
  }
}

/// Scores of a warp's 16 rows with the tile's 64 keys.
template <int kHd>
H1_DEVICE void Scores(const unsigned (&q)[kHd / 16][4], const unsigned char* keys, int lane,
                      float (&s)[8][4]) {
  H1_UNROLL
  for (int j = 0; j < 8; j += 2) {
    H1_UNROLL
    for (int i = 0; i < 4; ++i) s[j][i] = s[j + 1][i] = 0;
    H1_UNROLL
    for (int k = 0; k < kHd / 16; ++k) {
      unsigned b[4];
      LoadMatrix4(b, keys + PanelSwizzled(j * 8 + lane / 16 * 8 + lane % 8, k * 2 + lane / 8 % 2,
                                    kKeyTile));
      Mma16x8x16(s[j], q[k], b[0], b[1]);
      Mma16x8x16(s[j + 1], q[k], b[2], b[3]);
    }
  }
}

/// Online softmax of rows g and g + 8: scores to weights, sums and outputs to the new maximum.
template <int kHd, bool kMask>
H1_DEVICE void Softmax(float (&s)[8][4], const int (&seen)[2], int lane, float scale,
                       float (&max)[2], float (&sum)[2], float (&out)[kHd / 8][4]) {
  H1_UNROLL
  for (int half = 0; half < 2; ++half) {
    float best = max[half];
    H1_UNROLL
    for (int j = 0; j < 8; ++j) {
      H1_UNROLL
      for (int i = 0; i < 2; ++i) {
        float& v = s[j][half * 2 + i];
        v = !kMask || j * 8 + lane % 4 * 2 + i <= seen[half] ? v * scale : -INFINITY;
        best = fmaxf(best, v);
      }
    }
    best = fmaxf(best, __shfl_xor_sync(kAllLanes, best, 1));
    best = fmaxf(best, __shfl_xor_sync(kAllLanes, best, 2));
    const float base = best == -INFINITY ? 0.0F : best;  // a row that sees nothing yet
    const float alpha = exp2f(max[half] - base);
    float tile = 0;
    H1_UNROLL
    for (int j = 0; j < 8; ++j) {
      H1_UNROLL
      for (int i = 0; i < 2; ++i) {
        float& v = s[j][half * 2 + i];
        v = exp2f(v - base);
        tile = tile + v;
      }
    }
    sum[half] = sum[half] * alpha + tile;  // of this lane's columns; lanes are added at the end
    max[half] = best;
    H1_UNROLL
    for (int j = 0; j < kHd / 8; ++j) {
      out[j][half * 2] = out[j][half * 2] * alpha;
      out[j][half * 2 + 1] = out[j][half * 2 + 1] * alpha;
    }
  }
}

/// out += weights * values
template <int kHd>
H1_DEVICE void Values(const float (&s)[8][4], const unsigned char* values, int lane,
                      float (&out)[kHd / 8][4]) {
  H1_UNROLL
  for (int k = 0; k < 4; ++k) {  // 16 keys
    const unsigned a[4] = {PackBf16(s[2 * k][0], s[2 * k][1]), PackBf16(s[2 * k][2], s[2 * k][3]),
                           PackBf16(s[2 * k + 1][0], s[2 * k + 1][1]),
                           PackBf16(s[2 * k + 1][2], s[2 * k + 1][3])};
    H1_UNROLL
    for (int j = 0; j < kHd / 8; j += 2) {
      unsigned b[4];
      LoadMatrix4Transposed(
          b, values + PanelSwizzled(k * 16 + lane % 16, j + lane / 16, kKeyTile));
      Mma16x8x16(out[j], a, b[0], b[1]);
      Mma16x8x16(out[j + 1], a, b[2], b[3]);
    }
  }
}

template <int kHd>
__global__ void __launch_bounds__(kThreads)
    MmaKernel(Dims d, StateLayout layout, DeviceBatch batch, Buffers buffers, std::int64_t layer,
              float scale, std::int64_t ldo) {
  WaitForKernelBefore();
  H1_DYNAMIC_SHARED(shared);
  const AttentionTile tile = batch.tiles[blockIdx.x];
  const DeviceSegment segment = batch.segments[tile.segment];
  const Place at{static_cast<std::int64_t>(blockIdx.y), d.heads / d.kv_heads, layer, tile.first};
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  unsigned char* const q_shared = shared;
  constexpr int kTileBytes = kKeyTile * kHd * 2;
  unsigned char* const kv_shared = shared + kQueryRows * kHd * 2;
  const int group = static_cast<int>(at.group), base = static_cast<int>(segment.position);
  const int tokens = kQueryRows / group;
  const int end = at.first + tokens < segment.rows ? at.first + tokens : segment.rows;
  const int last = base + end - 1;  // position of the last query
  CopyQueries<kHd>(d, buffers, segment, at, q_shared);
  CopyKeys<kHd>(d, layout, batch, buffers, segment, at, 0, last, kv_shared, kv_shared + kTileBytes);
  CopyCommit();
  int position[2];  // of this lane's two rows
  H1_UNROLL
  for (int half = 0; half < 2; ++half)
    position[half] = base + at.first + (warp * 16 + half * 8 + lane / 4) / group;
  // Positions of the warp's first and last query; first > last: it has none.
  const int warp_first = base + at.first + warp * 16 / group;
  const int in_warp = base + at.first + (warp * 16 + 15) / group;
  const int warp_last = in_warp < last ? in_warp : last;
  float max[2] = {-INFINITY, -INFINITY}, sum[2] = {}, out[kHd / 8][4] = {};
  unsigned q[kHd / 16][4];
  const int tiles = last / kKeyTile + 1;
  for (int t = 0; t < tiles; ++t) {
    unsigned char* const keys = kv_shared + t % 2 * 2 * kTileBytes;
    if (t + 1 < tiles) {
      unsigned char* const next = kv_shared + (t + 1) % 2 * 2 * kTileBytes;
      CopyKeys<kHd>(d, layout, batch, buffers, segment, at, (t + 1) * kKeyTile, last, next,
                    next + kTileBytes);
    }
    CopyCommit();
    CopyWait<1>();
    __syncthreads();
    if (t == 0) {
      H1_UNROLL
      for (int k = 0; k < kHd / 16; ++k)
        LoadMatrix4(q[k], q_shared + PanelSwizzled(warp * 16 + lane % 16, k * 2 + lane / 16, kQueryRows));
    }
    if (warp_first <= warp_last && t * kKeyTile <= warp_last) {  // the warp has rows that see it
      float s[8][4];
      Scores<kHd>(q, keys, lane, s);
      const int seen[2] = {position[0] - t * kKeyTile, position[1] - t * kKeyTile};
      if (t * kKeyTile + kKeyTile - 1 <= warp_first) {
        Softmax<kHd, false>(s, seen, lane, scale * kLog2E, max, sum, out);
      } else {
        Softmax<kHd, true>(s, seen, lane, scale * kLog2E, max, sum, out);
      }
      Values<kHd>(s, keys + kTileBytes, lane, out);
    }
    __syncthreads();
  }
  H1_UNROLL
  for (int half = 0; half < 2; ++half) {
    float total = sum[half] + __shfl_xor_sync(kAllLanes, sum[half], 1);
    total = total + __shfl_xor_sync(kAllLanes, total, 2);
    const std::int64_t row = warp * 16 + half * 8 + lane / 4, token = at.first + row / at.group;
    if (row >= tokens * at.group || token >= segment.rows) continue;
    const float factor = d.attention_out / total;
    Bf16* to = static_cast<Bf16*>(buffers.mixed) + (segment.first_row + token) * ldo + d.ssm_inner +
               (at.kv_head * at.group + row % at.group) * kHd + lane % 4 * 2;
    H1_UNROLL
    for (int j = 0; j < kHd / 8; ++j) {
      Store(to + j * 8, out[j][half * 2] * factor);
      Store(to + j * 8 + 1, out[j][half * 2 + 1] * factor);
    }
  }
}

template <int kHd>
void Run(const StageContext& c, std::int64_t layer) {
  const Dims& d = c.dims;
  const LaunchShape shape{
      dim3(static_cast<unsigned>(c.batch.tile_count), static_cast<unsigned>(d.kv_heads)),
      dim3(kThreads), SharedBytes<kHd>()};
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(d.head_dim)));
  Launch("attention_mma", MmaKernel<kHd>, shape, c.stream, d, c.layout, c.batch, c.buffers, layer,
         scale, RoundUp(d.ssm_inner + d.heads * d.head_dim, kPadK));
}

}  // namespace

std::int64_t AttentionTileRows(const ModelShape& shape, bool) {
  return std::max<std::int64_t>(1, kQueryRows / (shape.heads / shape.kv_heads));
}

void AttendMma(const StageContext& c, std::int64_t layer) {
  if (c.dims.head_dim == 64) {
    Run<64>(c, layer);
  } else {
    Run<128>(c, layer);
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

// Causal attention of a few rows for the query heads of one kv head. Included by isa_*.cc only.
//
// Keys are taken in tiles of 128 at absolute multiples, in increasing order, by online softmax.
// Within a tile a score is one chain over the head dimension and an output one chain over the keys,
// so a query's bits depend on its own q and on the keys up to its position, never on which queries
// are computed with it.
#pragma once
#include "kernels/cpu/vector/rows.h"

namespace h1bench::cpu::H1_ISA {

inline constexpr int64_t kTileBlocks = kKvTile / kKvBlock;

// Queries times vectors of keys or values whose sums stay in registers. Which numbers are computed
// together changes no bits. Sums of 512 bits: 16 of 32 registers, a load and a broadcast for every
// two multiply-adds of the port that is the limit; of 256: 8 of 16, as each vector is two of them.
inline constexpr int kQueries = 4;
#if defined(__AVX512F__)
inline constexpr int kWide = 4;
#else
inline constexpr int kWide = 1;
#endif

struct Query {
  const float* q;
  float *scores, *acc;  // (128), (hd padded)
  float max, sum;
  int64_t position;
};

/// fp32 views of the tile's blocks; bf16 ones are widened into scratch.
struct Tile {
  const float *k[kTileBlocks], *v[kTileBlocks];
};

H1_INLINE void Widen(const uint16_t* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; i += kLanes) Store(to + i, LoadBf16(from + i));
}

H1_INLINE void OpenTile(const AttentionArgs& a, int64_t tile, int64_t blocks, float* scratch,
                        Tile& out) {
  const int64_t k_size = a.head_dim * kKvBlock, size = k_size + PadLanes(a.head_dim) * kKvBlock;
  for (int64_t b = 0; b < blocks; ++b) {
    const void* block = a.blocks[tile * kTileBlocks + b];
    const float* values = (const float*)block;
    if (a.kv_bf16) {
      Widen((const uint16_t*)block, size, scratch + b * size);
      values = scratch + b * size;
    }
    out.k[b] = values;
    out.v[b] = values + k_size;
  }
}

/// Scores of kCount queries with the keys of kBlocks blocks from `b`.
template <int kCount, int kBlocks>
H1_INLINE void Scores(Query* const* queries, const Tile& tile, int64_t b, int64_t hd, float scale) {
  F sum[kCount][kBlocks];
  for (int i = 0; i < kCount; ++i)
    for (int j = 0; j < kBlocks; ++j) sum[i][j] = Set(0);
  for (int64_t d = 0; d < hd; ++d) {
    F k[kBlocks];
    for (int j = 0; j < kBlocks; ++j) k[j] = Load(tile.k[b + j] + d * kLanes);
    for (int i = 0; i < kCount; ++i) {
      const F q = Set(queries[i]->q[d]);
      for (int j = 0; j < kBlocks; ++j) sum[i][j] = Fma(q, k[j], sum[i][j]);
    }
  }
  for (int i = 0; i < kCount; ++i)
    for (int j = 0; j < kBlocks; ++j)
      Store(queries[i]->scores + (b + j) * kLanes, sum[i][j] * Set(scale));
}

template <int kCount>
H1_INLINE void AllScores(Query* const* queries, const Tile& tile, int64_t blocks, int64_t hd,
                         float scale) {
  int64_t b = 0;
  for (; b + kWide <= blocks; b += kWide) Scores<kCount, kWide>(queries, tile, b, hd, scale);
  for (; b < blocks; ++b) Scores<kCount, 1>(queries, tile, b, hd, scale);
}

/// 16 scores of which the query sees the first `seen`; the others become minus infinity.
H1_INLINE F HideUnseen(float* scores, int64_t seen) {
  const F s = Load(scores);
  if (seen >= kLanes) return s;
  const I lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const F hidden = Select(lane < (int32_t)(seen < 0 ? 0 : seen), s, Set(-__builtin_inff()));
  Store(scores, hidden);
  return hidden;
}

/// Scores to weights exp(s - max); acc and sum are brought to the new maximum. Keys past the
/// query's position weigh 0.
H1_INLINE void Softmax(Query& q, int64_t first_key, int64_t blocks, int64_t acc_size) {
  F best = Set(-__builtin_inff());
  for (int64_t b = 0; b < blocks; ++b)
    best = Max(HideUnseen(q.scores + b * kLanes, q.position - first_key - b * kKvBlock + 1), best);
  const float tile_max = MaxLane(best);
  const float max = tile_max > q.max ? tile_max : q.max;
  const F alpha = Exp(Set(q.max - max));
  F sum = Set(0);
  for (int64_t b = 0; b < blocks; ++b) {
    const F p = Exp(Load(q.scores + b * kLanes) - Set(max));
    Store(q.scores + b * kLanes, p);
    sum += p;
  }
  q.sum = q.sum * alpha[0] + Sum(sum);
  q.max = max;
  for (int64_t i = 0; i < acc_size; i += kLanes) Store(q.acc + i, Load(q.acc + i) * alpha);
}

/// acc += sum over the tile's keys of p * v, columns d … d + 16 kWidth - 1.
template <int kCount, int kWidth>
H1_INLINE void Values(Query* const* queries, const Tile& tile, int64_t d, int64_t keys,
                      int64_t padded) {
  F acc[kCount][kWidth];
  for (int i = 0; i < kCount; ++i)
    for (int j = 0; j < kWidth; ++j) acc[i][j] = Load(queries[i]->acc + d + j * kLanes);
  for (int64_t key = 0; key < keys; ++key) {
    const float* row = tile.v[key / kKvBlock] + key % kKvBlock * padded + d;
    F v[kWidth];
    for (int j = 0; j < kWidth; ++j) v[j] = Load(row + j * kLanes);
    for (int i = 0; i < kCount; ++i) {
      const F p = Set(queries[i]->scores[key]);
      for (int j = 0; j < kWidth; ++j) acc[i][j] = Fma(p, v[j], acc[i][j]);
    }
  }
  for (int i = 0; i < kCount; ++i)
    for (int j = 0; j < kWidth; ++j) Store(queries[i]->acc + d + j * kLanes, acc[i][j]);
}

/// One tile for kCount queries; `keys` of it are visible to the last of them.
template <int kCount>
H1_INLINE void Step(Query* const* queries, const AttentionArgs& a, const Tile& tile,
                    int64_t first_key, int64_t keys) {
  const int64_t blocks = (keys + kKvBlock - 1) / kKvBlock, padded = PadLanes(a.head_dim);
  AllScores<kCount>(queries, tile, blocks, a.head_dim, a.scale);
  for (int i = 0; i < kCount; ++i) Softmax(*queries[i], first_key, blocks, padded);
  int64_t d = 0;
  for (; d + kWide * kLanes <= padded; d += kWide * kLanes)
    Values<kCount, kWide>(queries, tile, d, keys, padded);
  for (; d < padded; d += kLanes) Values<kCount, 1>(queries, tile, d, keys, padded);
}

H1_INLINE void TileForAll(Query* queries, int64_t count, const AttentionArgs& a, const Tile& tile,
                          int64_t first_key) {
  int64_t i = 0;
  while (i < count && queries[i].position < first_key) ++i;  // queries are in order of position
  while (i < count) {
    const int64_t n = count - i >= kQueries ? kQueries : 1;
    const int64_t keys = queries[i + n - 1].position - first_key + 1;
    Query* group[kQueries];
    for (int64_t j = 0; j < kQueries; ++j) group[j] = queries + i + (j < n ? j : 0);
    if (n == kQueries) {
      Step<kQueries>(group, a, tile, first_key, keys < kKvTile ? keys : kKvTile);
    } else {
      Step<1>(group, a, tile, first_key, keys < kKvTile ? keys : kKvTile);
    }
    i += n;
  }
}

H1_INLINE void Finish(const AttentionArgs& a, const Query& q, int64_t row, int64_t head) {
  const F inverse = Set(a.out_scale / q.sum);
  unsigned char* out = a.out + (row * a.out_stride + head * a.head_dim) * ActBytes(a.kind);
  for (int64_t d = 0; d < a.head_dim; d += kLanes) {
    StoreAct(out, d, Load(q.acc + d) * inverse, a.head_dim - d, a.kind);
  }
}

static void Attention(const AttentionArgs& a) {
  const int64_t padded = PadLanes(a.head_dim), count = a.rows * a.heads;
  Query queries[kQueryRows * 64];
  float* memory = a.scratch;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = i / a.heads, head = i % a.heads;
    queries[i] = {a.q + row * a.q_stride + head * a.head_dim,
                  memory,
                  memory + kKvTile,
                  -__builtin_inff(),
                  0,
                  a.first_position + row};
    memory += kKvTile + padded;
    memset(queries[i].acc, 0, (size_t)padded * sizeof(float));
  }
  const int64_t end = a.first_position + a.rows;  // keys there are
  for (int64_t first = 0; first < end; first += kKvTile) {
    const int64_t keys = end - first < kKvTile ? end - first : kKvTile;
    Tile tile;
    OpenTile(a, first / kKvTile, (keys + kKvBlock - 1) / kKvBlock, memory, tile);
    TileForAll(queries, count, a, tile, first);
  }
  for (int64_t i = 0; i < count; ++i) Finish(a, queries[i], i / a.heads, i % a.heads);
}

}  // namespace h1bench::cpu::H1_ISA

// Causal attention of a few rows for the query heads of one kv head. Included by isa_*.cc only.
//
// Keys are taken in tiles of 128 at absolute multiples, in increasing order, by online softmax.
// Within a tile a score is one chain over the head dimension and an output one chain over the keys
// (with the machine's bf16 instruction: over increasing pairs), so a query's bits depend on its own
// q and on the keys up to its position, never on which queries are computed with it.
#pragma once
#include "kernels/cpu/vector/product.h"
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

/// The blocks of a tile as they are multiplied.
template <typename T>
struct Tile {
  const typename T::Weight *k[kTileBlocks], *v[kTileBlocks];
};

H1_INLINE void Widen(const uint16_t* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; i += kLanes) Store(to + i, LoadBf16(from + i));
}

/// All in fp32: keys and values in bf16 are widened, once for all queries of a task.
struct FloatAttention : Floats {
  H1_INLINE const Row* OpenQuery(const float* q, const AttentionArgs&, float*) { return q; }
  H1_INLINE void OpenTile(const AttentionArgs& a, int64_t tile, int64_t blocks, float* scratch,
                          Tile<FloatAttention>& out) {
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
  H1_INLINE F Scaled(F score, float scale) { return score * Set(scale); }
  H1_INLINE F Power(F x) { return Exp(x); }
  H1_INLINE void StoreWeights(float* scores, int64_t block, F p) {
    Store(scores + block * kLanes, p);
  }
};

#if defined(__AVX512BF16__)
/// 2^x for x <= 0 within 3e-6 of it; 0 below -126, NaN stays NaN. x = n + r, |r| <= 1/2, Taylor
/// polynomial of degree 5: its weights are rounded to 8 bits.
H1_INLINE F PowerOfTwo(F x) {
  const I tiny = x < Set(-126.0F);
  const F magic = Set(12582912.0F);  // as in Exp
  const F shifted = x + magic;
  const F r = x - (shifted - magic);
  F p = Set(1.33335581e-3F);  // ln2^5 / 120, …
  p = Fma(p, r, Set(9.61812911e-3F));
  p = Fma(p, r, Set(5.55041087e-2F));
  p = Fma(p, r, Set(2.40226507e-1F));
  p = Fma(p, r, Set(6.93147181e-1F));
  p = Fma(p, r, Set(1.0F));
  return Select(tiny, Set(0.0F), (F)((I)p + ((I)shifted << 23)));
}

H1_INLINE void StoreBf16(uint16_t* to, F v) {
  const __m256bh half = _mm512_cvtneps_pbh((__m512)v);
  memcpy(to, &half, sizeof half);
}

/// q, keys, weights and values in bf16, sums in fp32. Queries are copied times scale / ln 2, so
/// that a weight is a power of two. Keys lie as (hd / 2, 16, 2), values as (8, hd padded, 2).
struct PairAttention : Pairs {
  H1_INLINE const Row* OpenQuery(const float* q, const AttentionArgs& a, float* memory) {
    auto* to = (Row*)memory;
    const F scale = Set(a.scale * 1.44269504088896341F);
    for (int64_t d = 0; d < a.head_dim; d += kLanes)
      StoreBf16(to + d, LoadPart(q + d, a.head_dim - d) * scale);
    return to;
  }
  H1_INLINE void OpenTile(const AttentionArgs& a, int64_t tile, int64_t blocks, float*,
                          Tile<PairAttention>& out) {
    for (int64_t b = 0; b < blocks; ++b) {
      out.k[b] = (const Weight*)a.blocks[tile * kTileBlocks + b];
      out.v[b] = out.k[b] + a.head_dim * kKvBlock;
    }
  }
  H1_INLINE F Scaled(F score, float) { return score; }
  H1_INLINE F Power(F x) { return PowerOfTwo(x); }
  /// Behind the scores that are still to be read.
  H1_INLINE void StoreWeights(float* scores, int64_t block, F p) {
    StoreBf16((uint16_t*)scores + block * kLanes, p);
  }
};
#endif

template <typename T>
struct Query {
  const typename T::Row* q;
  float* scores;  // (128); then the weights, in Row's type
  float* acc;     // (hd padded)
  float max, sum;
  int64_t position;
};

/// Scores of kCount queries with the keys of kBlocks blocks from `b`.
template <typename T, int kCount, int kBlocks>
H1_INLINE void Scores(Query<T>* const* queries, const Tile<T>& tile, int64_t b, int64_t hd,
                      float scale) {
  F sum[kCount][kBlocks];
  for (int i = 0; i < kCount; ++i)
    for (int j = 0; j < kBlocks; ++j) sum[i][j] = Set(0);
  for (int64_t d = 0; d < hd; d += T::kStep) {
    F k[kBlocks];
    for (int j = 0; j < kBlocks; ++j) k[j] = T::Get(tile.k[b + j] + d * kLanes);
    for (int i = 0; i < kCount; ++i) {
      const F q = T::Spread(queries[i]->q + d, false);
      for (int j = 0; j < kBlocks; ++j) sum[i][j] = T::Add(q, k[j], sum[i][j]);
    }
  }
  for (int i = 0; i < kCount; ++i)
    for (int j = 0; j < kBlocks; ++j)
      Store(queries[i]->scores + (b + j) * kLanes, T::Scaled(sum[i][j], scale));
}

template <typename T, int kCount>
H1_INLINE void AllScores(Query<T>* const* queries, const Tile<T>& tile, int64_t blocks, int64_t hd,
                         float scale) {
  int64_t b = 0;
  for (; b + kWide <= blocks; b += kWide) Scores<T, kCount, kWide>(queries, tile, b, hd, scale);
  for (; b < blocks; ++b) Scores<T, kCount, 1>(queries, tile, b, hd, scale);
}

/// 16 scores of which the query sees the first `seen`; the others become minus infinity.
H1_INLINE F HideUnseen(float* scores, int64_t seen) {
  const F s = Load(scores);
  if (seen >= kLanes) return s;
  const F hidden =
      Select(LaneNumbers() < (int32_t)(seen < 0 ? 0 : seen), s, Set(-__builtin_inff()));
  Store(scores, hidden);
  return hidden;
}

/// Scores to weights exp(s - max); acc and sum are brought to the new maximum. Keys past the
/// query's position weigh 0.
template <typename T>
H1_INLINE void Softmax(Query<T>& q, int64_t first_key, int64_t blocks, int64_t acc_size) {
  F best = Set(-__builtin_inff());
  for (int64_t b = 0; b < blocks; ++b)
    best = Max(HideUnseen(q.scores + b * kLanes, q.position - first_key - b * kKvBlock + 1), best);
  const float tile_max = MaxLane(best);
  const float max = tile_max > q.max ? tile_max : q.max;
  const F alpha = T::Power(Set(q.max - max));
  F sum = Set(0);
  for (int64_t b = 0; b < blocks; ++b) {
    const F p = T::Power(Load(q.scores + b * kLanes) - Set(max));
    T::StoreWeights(q.scores, b, p);
    sum += p;
  }
  q.sum = q.sum * alpha[0] + Sum(sum);
  q.max = max;
  for (int64_t i = 0; i < acc_size; i += kLanes) Store(q.acc + i, Load(q.acc + i) * alpha);
}

/// acc += sum over the tile's keys of p * v, columns d … d + 16 kWidth - 1. A pair that begins with
/// the last key is whole: the other's weight is 0, its value a number (AttentionArgs::blocks).
template <typename T, int kCount, int kWidth>
H1_INLINE void Values(Query<T>* const* queries, const Tile<T>& tile, int64_t d, int64_t keys,
                      int64_t padded) {
  F acc[kCount][kWidth];
  for (int i = 0; i < kCount; ++i)
    for (int j = 0; j < kWidth; ++j) acc[i][j] = Load(queries[i]->acc + d + j * kLanes);
  for (int64_t key = 0; key < keys; key += T::kStep) {
    const auto* row = tile.v[key / kKvBlock] + key % kKvBlock * padded + d * T::kStep;
    F v[kWidth];
    for (int j = 0; j < kWidth; ++j) v[j] = T::Get(row + j * kLanes * T::kStep);
    for (int i = 0; i < kCount; ++i) {
      const F p = T::Spread((const typename T::Row*)queries[i]->scores + key, false);
      for (int j = 0; j < kWidth; ++j) acc[i][j] = T::Add(p, v[j], acc[i][j]);
    }
  }
  for (int i = 0; i < kCount; ++i)
    for (int j = 0; j < kWidth; ++j) Store(queries[i]->acc + d + j * kLanes, acc[i][j]);
}

/// One tile for kCount queries; `keys` of it are visible to the last of them.
template <typename T, int kCount>
H1_INLINE void Step(Query<T>* const* queries, const AttentionArgs& a, const Tile<T>& tile,
                    int64_t first_key, int64_t keys) {
  const int64_t blocks = (keys + kKvBlock - 1) / kKvBlock, padded = PadLanes(a.head_dim);
  AllScores<T, kCount>(queries, tile, blocks, a.head_dim, a.scale);
  for (int i = 0; i < kCount; ++i) Softmax(*queries[i], first_key, blocks, padded);
  int64_t d = 0;
  for (; d + kWide * kLanes <= padded; d += kWide * kLanes)
    Values<T, kCount, kWide>(queries, tile, d, keys, padded);
  for (; d < padded; d += kLanes) Values<T, kCount, 1>(queries, tile, d, keys, padded);
}

template <typename T>
H1_INLINE void TileForAll(Query<T>* queries, int64_t count, const AttentionArgs& a,
                          const Tile<T>& tile, int64_t first_key) {
  int64_t i = 0;
  while (i < count && queries[i].position < first_key) ++i;  // queries are in order of position
  while (i < count) {
    const int64_t n = count - i >= kQueries ? kQueries : 1;
    const int64_t keys = queries[i + n - 1].position - first_key + 1;
    Query<T>* group[kQueries];
    for (int64_t j = 0; j < kQueries; ++j) group[j] = queries + i + (j < n ? j : 0);
    if (n == kQueries) {
      Step<T, kQueries>(group, a, tile, first_key, keys < kKvTile ? keys : kKvTile);
    } else {
      Step<T, 1>(group, a, tile, first_key, keys < kKvTile ? keys : kKvTile);
    }
    i += n;
  }
}

/// Plus 0, as a hidden key's 0 * v may have made a 0 of one sign or the other.
template <typename T>
H1_INLINE void Finish(const AttentionArgs& a, const Query<T>& q, int64_t row, int64_t head) {
  const F inverse = Set(a.out_scale / q.sum);
  unsigned char* out = a.out + (row * a.out_stride + head * a.head_dim) * ActBytes(a.kind);
  for (int64_t d = 0; d < a.head_dim; d += kLanes) {
    StoreAct(out, d, Load(q.acc + d) * inverse + Set(0), a.head_dim - d, a.kind);
  }
}

template <typename T>
H1_INLINE void AttentionBy(const AttentionArgs& a) {
  const int64_t padded = PadLanes(a.head_dim), count = a.rows * a.heads;
  Query<T> queries[kQueryRows * 64];
  float* memory = a.scratch;
  float* shared = memory + count * (kKvTile + padded);  // copies of the queries, or a wide tile
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = i / a.heads, head = i % a.heads;
    const float* q = a.q + row * a.q_stride + head * a.head_dim;
    queries[i] = {T::OpenQuery(q, a, shared + i * padded / 2),
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
    Tile<T> tile;
    T::OpenTile(a, first / kKvTile, (keys + kKvBlock - 1) / kKvBlock, shared, tile);
    TileForAll(queries, count, a, tile, first);
  }
  for (int64_t i = 0; i < count; ++i) Finish(a, queries[i], i / a.heads, i % a.heads);
}

static void Attention(const AttentionArgs& a) {
#if defined(__AVX512BF16__)
  if (a.kv_bf16) return AttentionBy<PairAttention>(a);
#endif
  AttentionBy<FloatAttention>(a);
}

}  // namespace h1bench::cpu::H1_ISA

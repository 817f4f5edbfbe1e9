#pragma once

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/hopper.h"

/// How results of gemm_wgmma.cu leave: a warpgroup holds 64 weight rows by kTokens tokens, lane l
/// of warp w rows n = 16 w + l / 4 and n + 8 of tokens 8 j + 2 (l % 4) and the next.
namespace h1bench::H1_CUDA_NAMESPACE {

#if defined(__CUDACC__) || defined(H1_CUDA_EMULATION)

/// What an epilogue knows of a thread's two weight rows, n and n + 8.
struct Rows {
  float scale[2], bias[2];
  bool there[2];
};
/// `end`: of the tile's rows.
H1_DEVICE Rows RowsOf(const GemmArgs& a, std::int64_t n, std::int64_t end) {
  Rows out;
  H1_UNROLL
  for (int i = 0; i < 2; ++i) {
    const std::int64_t row = n + 8 * i;
    out.there[i] = row < a.n && row < end;
    const bool add = a.epilogue == Epilogue::kAdd;
    out.scale[i] = add ? a.factor : a.scale != nullptr && out.there[i] ? a.scale[row] : 1.0F;
    out.bias[i] = a.bias != nullptr && out.there[i] ? a.bias[row] : 0.0F;
  }
  return out;
}

/// The same arithmetic as Finish (gemm.h), for a thread's whole share: what depends on the weight
/// row is read once, and the residual's old values before the first store.
template <int kTokens>
H1_DEVICE void FinishTile(const GemmArgs& a, std::int64_t row0, std::int64_t n, std::int64_t end,
                          int lane, const float (&sum)[kTokens / 2]) {
  if (a.epilogue == Epilogue::kSwiGlu) {
    if (n >= end) return;  // a tile ends with whole eights of gate and up
    H1_UNROLL
    for (int j = 0; j < kTokens / 8; ++j) {
      const std::int64_t token = row0 + j * 8 + lane % 4 * 2;
      Finish<Bf16>(a, token, n, sum[j * 4], sum[j * 4 + 2]);
      Finish<Bf16>(a, token + 1, n, sum[j * 4 + 1], sum[j * 4 + 3]);
    }
    return;
  }
  const Rows rows = RowsOf(a, n, end);
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

/// Wide tiles leave by the copy engine, which writes whole lines and adds to the residual without
/// reading it here. A warpgroup has kStoreBytes of shared memory for that: SwiGLU's 32 bf16 columns
/// of all 256 tokens, which leave at once; or two buffers of two panels of 32 fp32 columns by
/// kStoreTokens.
inline constexpr int kStoreTokens = 32, kPanelBytes = kStoreTokens * 128;
inline constexpr int kStoreBytes = 2 * 2 * kPanelBytes;
/// Tokens of one copy.
H1_HOST_DEVICE constexpr int TokensOfCopy(Epilogue epilogue) {
  return epilogue == Epilogue::kSwiGlu ? 256 : kStoreTokens;
}

/// Which warpgroup stores what: `shared` is its own, 1 KiB aligned; `n0` its first weight row.
struct StorePlace {
  int row0, n0, thread, barrier;
  unsigned char* shared;
  H1_DEVICE int lane() const { return thread % kWarp; }
  H1_DEVICE int warp() const { return thread / kWarp % 4; }
  H1_DEVICE bool leader() const { return thread % 128 == 0; }
};

/// FinishTile's numbers of SwiGLU by the copy engine.
template <int kTokens>
H1_DEVICE void StoreSwiGlu(const GemmArgs& a, const TensorMap* out, const StorePlace& at,
                           const float (&sum)[kTokens / 2]) {
  static_assert(kTokens == TokensOfCopy(Epilogue::kSwiGlu) && kTokens * 64 <= kStoreBytes);
  const std::int64_t i0 = at.n0 / 2,
                     i = i0 + at.warp() * 8 + at.lane() / 4;  // of the output's columns
  float gate_bias = 0, up_bias = 0;
  if (i < a.columns) {
    gate_bias = a.bias != nullptr ? a.bias[i] : 0.0F;
    up_bias = a.bias_up != nullptr ? a.bias_up[i] : 0.0F;
  }
  if (at.leader()) StoreReadWait<0>();  // the last tile has left
  GroupBarrier(at.barrier);
  H1_UNROLL
  for (int first = 0; first < kTokens; first += kWarp) {
    unsigned
        pairs[4];  // eight tokens by the warp's eight columns each: two tokens of a lane's column
    H1_UNROLL
    for (int j = 0; j < 4; ++j) {
      float both[2];
      H1_UNROLL
      for (int odd = 0; odd < 2; ++odd) {
        const float gate = sum[first / 2 + j * 4 + odd], up = sum[first / 2 + j * 4 + 2 + odd];
        both[odd] = SwiGlu<Bf16>(a.bias != nullptr ? gate + gate_bias : gate,
                                 a.bias_up != nullptr ? up + up_bias : up, a.factor);
      }
      pairs[j] = PackBf16(both[0], both[1]);
    }
    StoreMatrix4Transposed(at.shared + TileByte(64, first + at.lane(), at.warp()), pairs);
  }
  StoreFence();
  GroupBarrier(at.barrier);
  if (!at.leader()) return;
  StoreTile(at.shared, out, static_cast<int>(i0), at.row0);
  StoreCommit();
}

/// FinishTile's other numbers by the copy engine.
template <int kTokens>
H1_DEVICE void StoreRows(const GemmArgs& a, const TensorMap* out, const StorePlace& at,
                         const float (&sum)[kTokens / 2]) {
  const int n = at.warp() * 16 + at.lane() / 4, column = n % 32, token = at.lane() % 4 * 2;
  const Rows rows = RowsOf(a, at.n0 + n, a.n);
  H1_UNROLL
  for (int c = 0; c < kTokens / kStoreTokens; ++c) {
    unsigned char* const buffer = at.shared + c % 2 * (2 * kPanelBytes);
    unsigned char* const panel = buffer + n / 32 * kPanelBytes + column % 4 * 4;
    if (at.leader()) StoreReadWait<1>();  // the buffer's last chunk has left
    GroupBarrier(at.barrier);
    H1_UNROLL
    for (int j = 0; j < kStoreTokens / 8 * 2; ++j) {
      const float *const low = sum + c * (kStoreTokens / 2) + j / 2 * 4 + j % 2, *const high =
                                                                                     low + 2;
      const int row = j / 2 * 8 + token + j % 2;
      *reinterpret_cast<float*>(panel + TileByte(128, row, column / 4)) =
          *low * rows.scale[0] + rows.bias[0];
      *reinterpret_cast<float*>(panel + TileByte(128, row, column / 4 + 2)) =
          *high * rows.scale[1] + rows.bias[1];
    }
    StoreFence();
    GroupBarrier(at.barrier);
    if (!at.leader()) continue;
    const int row = at.row0 + c * kStoreTokens;
    if (a.epilogue == Epilogue::kAdd) {
      AddTile(buffer, out, at.n0, row);
      AddTile(buffer + kPanelBytes, out, at.n0 + 32, row);
    } else {
      StoreTile(buffer, out, at.n0, row);
      StoreTile(buffer + kPanelBytes, out, at.n0 + 32, row);
    }
    StoreCommit();
  }
}

#endif

}  // namespace h1bench::H1_CUDA_NAMESPACE

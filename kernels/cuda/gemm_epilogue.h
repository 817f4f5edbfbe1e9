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

/// Tokens that leave together through shared memory, and what a warpgroup has there for them: two
/// such buffers, each of two panels of 32 fp32 columns (SwiGLU: one of 32 bf16).
inline constexpr int kStoreTokens = 32, kPanelBytes = kStoreTokens * 128;
inline constexpr int kStoreBytes = 2 * 2 * kPanelBytes;

/// The same numbers by the copy engine, which writes whole lines and adds to the residual without
/// reading it here. `shared`: kStoreBytes of the warpgroup's own, 1 KiB aligned; `n0`: its first
/// weight row; `id`: of its barrier.
template <int kTokens>
H1_DEVICE void StoreTileByCopies(const GemmArgs& a, const TensorMap* out, int row0, int n0,
                                 int thread, int id, unsigned char* shared,
                                 const float (&sum)[kTokens / 2]) {
  const int lane = thread % kWarp, warp = thread / kWarp % 4, n = warp * 16 + lane / 4;
  const bool leader = thread % 128 == 0, swiglu = a.epilogue == Epilogue::kSwiGlu;
  const int i0 = n0 / 2, i = warp * 8 + lane / 4;  // SwiGLU: of the output's columns
  const Rows rows = RowsOf(a, n0 + n, a.n);
  float gate_bias = 0, up_bias = 0;
  if (swiglu && i0 + i < a.columns) {
    gate_bias = a.bias != nullptr ? a.bias[i0 + i] : 0.0F;
    up_bias = a.bias_up != nullptr ? a.bias_up[i0 + i] : 0.0F;
  }
  H1_UNROLL
  for (int c = 0; c < kTokens / kStoreTokens; ++c) {
    unsigned char* const buffer = shared + c % 2 * (2 * kPanelBytes);
    if (leader) StoreReadWait<1>();  // the buffer's last tile has left
    GroupBarrier(id);
    H1_UNROLL
    for (int j = 0; j < kStoreTokens / 8 * 2; ++j) {
      const float low = sum[(c * 4 + j / 2) * 4 + j % 2],
                  high = sum[(c * 4 + j / 2) * 4 + 2 + j % 2];
      const int token = j / 2 * 8 + lane % 4 * 2 + j % 2;
      if (swiglu) {
        Store(reinterpret_cast<Bf16*>(buffer + TileByte(64, token, i / 8) + i % 8 * 2),
              SwiGlu<Bf16>(a.bias != nullptr ? low + gate_bias : low,
                           a.bias_up != nullptr ? high + up_bias : high, a.factor));
      } else {
        unsigned char* const panel = buffer + n / 32 * kPanelBytes;
        const int column = n % 32;
        *reinterpret_cast<float*>(panel + TileByte(128, token, column / 4) + column % 4 * 4) =
            low * rows.scale[0] + rows.bias[0];
        *reinterpret_cast<float*>(panel + TileByte(128, token, column / 4 + 2) + column % 4 * 4) =
            high * rows.scale[1] + rows.bias[1];
      }
    }
    StoreFence();
    GroupBarrier(id);
    if (!leader) continue;
    const int row = row0 + c * kStoreTokens;
    if (swiglu) {
      StoreTile(buffer, out, i0, row);
    } else if (a.epilogue == Epilogue::kAdd) {
      AddTile(buffer, out, n0, row);
      AddTile(buffer + kPanelBytes, out, n0 + 32, row);
    } else {
      StoreTile(buffer, out, n0, row);
      StoreTile(buffer + kPanelBytes, out, n0 + 32, row);
    }
    StoreCommit();
  }
}

#endif

}  // namespace h1bench::H1_CUDA_NAMESPACE

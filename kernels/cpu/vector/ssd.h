// The SSM recurrence of one head, token by token (FALCON_H1.md 4.4). Included by isa_*.cc only.
//
// S_t = decay_t * S_{t-1} + (dt_t x_t) B_t^T and y_t = S_t C_t + D x_t. What is kept is not S but
// S / scale, with scale the product of the decays since it last was 1: so a number of the state
// costs two multiply-adds a token, not three operations. When the scale would fall below kSmallest,
// the state is multiplied by it and it becomes 1 again. That depends on the head's decays alone, so
// decode, chunked and whole prefill still give the same bits.
//
// Channels p lie in the lanes, so y needs no sum across lanes: it is one chain of fused
// multiply-adds over n = 0, 1, … A tile of state columns stays in registers while the tokens pass.
#pragma once
#include "kernels/cpu/vector/lanes.h"
#include "kernels/cpu/vector/table.h"

namespace h1bench::cpu::H1_ISA {

// State columns and blocks of 16 channels that stay in registers; both blocks take the same numbers
// of B and C.
#if defined(__AVX512F__)
inline constexpr int kColumns = 8, kBlocks = 2;  // 16 of 32 registers
#elif defined(__AVX2__)
inline constexpr int kColumns = 4, kBlocks = 1;  // 8 of 16: a vector is two of them
#else
inline constexpr int kColumns = 2, kBlocks = 1;  // 8 of 16: a vector is four
#endif

/// Some tokens of kBlocks blocks of channels at most. Arrays of a block follow each other.
struct SsdPass {
  const float* state_in;  // (blocks, N, 16); null: zeros
  float* state_out;       // the same, may be state_in
  int64_t state;          // N
  const float *b, *c;
  int64_t stride;
  const float* shrink;  // (tokens): the state times this before a token, mostly 1
  const float* xdt;     // (blocks, kSsdTokens, 16): dt * x / scale
  float* y;             // (blocks, kSsdTokens, 16): without the scale
  int64_t tokens;
};

/// Columns n … n + kWidth - 1 of kHigh blocks.
template <int kWidth, int kHigh>
H1_INLINE void SsdTile(const SsdPass& pass, int64_t n) {
  const int64_t block = pass.state * kLanes, next = kSsdTokens * kLanes;
  F s[kHigh][kWidth];
#pragma GCC unroll 2
  for (int j = 0; j < kHigh; ++j)
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i)
      s[j][i] =
          pass.state_in == nullptr ? Set(0) : Load(pass.state_in + j * block + (n + i) * kLanes);
  for (int64_t t = 0; t < pass.tokens; ++t) {
    if (pass.shrink[t] != 1) {
      const F shrink = Set(pass.shrink[t]);
#pragma GCC unroll 2
      for (int j = 0; j < kHigh; ++j)
#pragma GCC unroll 16
        for (int i = 0; i < kWidth; ++i) s[j][i] = s[j][i] * shrink;
    }
    F xdt[kHigh], y[kHigh];
#pragma GCC unroll 2
    for (int j = 0; j < kHigh; ++j) {
      xdt[j] = Load(pass.xdt + j * next + t * kLanes);
      y[j] = n == 0 ? Set(0) : Load(pass.y + j * next + t * kLanes);
    }
    const float* b = pass.b + t * pass.stride + n;
    const float* c = pass.c + t * pass.stride + n;
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) {
      const F bn = Set(b[i]), cn = Set(c[i]);
#pragma GCC unroll 2
      for (int j = 0; j < kHigh; ++j) {
        s[j][i] = Fma(xdt[j], bn, s[j][i]);
        y[j] = Fma(s[j][i], cn, y[j]);
      }
    }
#pragma GCC unroll 2
    for (int j = 0; j < kHigh; ++j) Store(pass.y + j * next + t * kLanes, y[j]);
  }
  if (pass.state_out == nullptr) return;
#pragma GCC unroll 2
  for (int j = 0; j < kHigh; ++j)
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) Store(pass.state_out + j * block + (n + i) * kLanes, s[j][i]);
}

template <int kHigh>
H1_INLINE void SsdColumns(const SsdPass& pass) {
  constexpr int kWidth = kColumns * kBlocks / kHigh;  // as many registers
  int64_t n = 0;
  for (; n + kWidth <= pass.state; n += kWidth) SsdTile<kWidth, kHigh>(pass, n);
  for (; n < pass.state; ++n) SsdTile<1, kHigh>(pass, n);
}

/// What the tokens of a pass do to a head's scale.
struct SsdScales {
  float scale[kSsdTokens], inverse[kSsdTokens], shrink[kSsdTokens];
};

/// Fills `out`; returns the scale after the last token. A decay that is not a number ends up in the
/// state.
H1_INLINE float ScalesOf(const float* decay, int64_t stride, int64_t tokens, float scale,
                         SsdScales& out) {
  constexpr float kSmallest = 0x1p-40F;  // far from what would make large inputs / scale infinite
  for (int64_t t = 0; t < tokens; ++t) {
    const float next = scale * decay[t * stride];
    const bool small = !(next >= kSmallest);
    out.shrink[t] = small ? next : 1;
    scale = small ? 1 : next;
    out.scale[t] = scale;
  }
  for (int64_t t = 0; t < tokens; ++t) out.inverse[t] = 1 / out.scale[t];
  return scale;
}

/// Tokens t0 … of the channels p … of `high` blocks.
H1_INLINE void SsdChannels(const SsdArgs& a, const SsdScales& scales, int64_t t0, int64_t p,
                           SsdPass& pass, float* xdt, int64_t high) {
  for (int64_t j = 0; j < high; ++j) {
    const int64_t at = p + j * kLanes, width = a.head_dim - at, row = j * kSsdTokens;
    for (int64_t t = 0; t < pass.tokens; ++t) {
      const F x = LoadPart(a.x + (t0 + t) * a.stride + at, width);
      Store(xdt + (row + t) * kLanes, x * Set(a.dt[(t0 + t) * a.dt_stride] * scales.inverse[t]));
    }
  }
  if (high == kBlocks) {
    SsdColumns<kBlocks>(pass);
  } else {
    SsdColumns<1>(pass);
  }
  for (int64_t j = 0; j < high; ++j) {
    const int64_t at = p + j * kLanes, width = a.head_dim - at, row = j * kSsdTokens;
    for (int64_t t = 0; t < pass.tokens; ++t) {
      const F x = LoadPart(a.x + (t0 + t) * a.stride + at, width);
      const F y = Load(pass.y + (row + t) * kLanes) * Set(scales.scale[t]);
      StorePart(a.y + (t0 + t) * a.y_stride + at, Fma(Set(a.d_skip), x, y), width);
    }
  }
}

static void Ssd(const SsdArgs& a) {
  constexpr int64_t kFew = 8;
  const int64_t size = PadLanes(a.head_dim) * a.state;
  float* carried = a.scratch;  // a state
  float* xdt = carried + size;
  float* y = xdt + kBlocks * kSsdTokens * kLanes;
  SsdScales scales;
  float scale = a.state_in == nullptr ? 1 : a.state_in[size];
  for (int64_t t0 = 0; t0 < a.tokens; t0 += kSsdTokens) {
    const int64_t count = a.tokens - t0 < kSsdTokens ? a.tokens - t0 : kSsdTokens;
    const float* from = t0 == 0 ? a.state_in : carried;
    float* to = t0 + count == a.tokens ? a.state_out : carried;
    scale = ScalesOf(a.decay + t0 * a.dt_stride, a.dt_stride, count, scale, scales);
    // Few tokens wait for the state to be read, and one stretch of memory is read faster than two.
    const int64_t high = count < kFew ? 1 : kBlocks;
    for (int64_t p = 0; p < a.head_dim; p += high * kLanes) {
      const int64_t left = (a.head_dim - p + kLanes - 1) / kLanes, offset = p * a.state;
      SsdPass pass{from == nullptr ? nullptr : from + offset,
                   to == nullptr ? nullptr : to + offset,
                   a.state,
                   a.b + t0 * a.stride,
                   a.c + t0 * a.stride,
                   a.stride,
                   scales.shrink,
                   xdt,
                   y,
                   count};
      SsdChannels(a, scales, t0, p, pass, xdt, left < high ? left : high);
    }
  }
  if (a.state_out != nullptr) a.state_out[size] = scale;
}

}  // namespace h1bench::cpu::H1_ISA

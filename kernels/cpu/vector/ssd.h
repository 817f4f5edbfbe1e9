// The SSM recurrence of one head, token by token (FALCON_H1.md 4.4). Included by isa_*.cc only.
//
// S_t = decay_t * S_{t-1} + (dt_t x_t) B_t^T and y_t = S_t C_t + D x_t. Channels p lie in the
// lanes, so y needs no sum across lanes: it is one chain of fused multiply-adds over n = 0, 1, …
// The chain does not see how tokens were cut into calls, hence decode, chunked and whole prefill
// give the same bits. A tile of
// state columns stays in registers while the tokens pass.
#pragma once
#include "kernels/cpu/vector/lanes.h"
#include "kernels/cpu/vector/table.h"

namespace h1bench::cpu::H1_ISA {

inline constexpr int64_t kTokens = 64;  // tokens of one pass over the state

// State columns that stay in registers while the tokens pass.
#if defined(__AVX512F__)
inline constexpr int kColumns = 16;  // of 32 registers
#elif defined(__AVX2__)
inline constexpr int kColumns = 4;  // 8 of 16: a vector is two of them
#else
inline constexpr int kColumns = 2;  // 8 of 16: a vector is four
#endif

struct SsdPass {
  const float* state_in;  // (N, 16) of this block of channels, or null
  float* state_out;       // may be null
  const float *b, *c;
  int64_t stride;
  const float* decay;
  int64_t dt_stride;
  const float* xdt;  // (tokens, 16): dt * x
  float* y;          // (tokens, 16)
  int64_t tokens;
};

/// Columns n … n + kWidth - 1.
template <int kWidth>
H1_INLINE void SsdTile(const SsdPass& pass, int64_t n) {
  F s[kWidth];
  for (int i = 0; i < kWidth; ++i)
    s[i] = pass.state_in == nullptr ? Set(0) : Load(pass.state_in + (n + i) * kLanes);
  for (int64_t t = 0; t < pass.tokens; ++t) {
    const F xdt = Load(pass.xdt + t * kLanes);
    const F decay = Set(pass.decay[t * pass.dt_stride]);
    const float* b = pass.b + t * pass.stride + n;
    const float* c = pass.c + t * pass.stride + n;
    F y = n == 0 ? Set(0) : Load(pass.y + t * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) {
      s[i] = Fma(xdt, Set(b[i]), decay * s[i]);
      y = Fma(s[i], Set(c[i]), y);
    }
    Store(pass.y + t * kLanes, y);
  }
  if (pass.state_out == nullptr) return;
  for (int i = 0; i < kWidth; ++i) Store(pass.state_out + (n + i) * kLanes, s[i]);
}

static void SsdColumns(const SsdPass& pass, int64_t state) {
  int64_t n = 0;
  for (; n + kColumns <= state; n += kColumns) SsdTile<kColumns>(pass, n);
  for (; n < state; ++n) SsdTile<1>(pass, n);
}

/// Channels p … p + 15 of the head.
static void SsdChannels(const SsdArgs& a, int64_t p) {
  float* carried = a.scratch;  // (N, 16)
  float* xdt = carried + a.state * kLanes;
  float* y = xdt + kTokens * kLanes;
  const int64_t width = a.head_dim - p, offset = p * a.state;
  for (int64_t t0 = 0; t0 < a.tokens; t0 += kTokens) {
    const int64_t count = a.tokens - t0 < kTokens ? a.tokens - t0 : kTokens;
    const bool last = t0 + count == a.tokens;
    for (int64_t t = 0; t < count; ++t) {
      const F x = LoadPart(a.x + (t0 + t) * a.stride + p, width);
      Store(xdt + t * kLanes, x * Set(a.dt[(t0 + t) * a.dt_stride]));
    }
    const float* from = t0 != 0 ? carried : a.state_in == nullptr ? nullptr : a.state_in + offset;
    float* to = !last ? carried : a.state_out == nullptr ? nullptr : a.state_out + offset;
    SsdColumns({from, to, a.b + t0 * a.stride, a.c + t0 * a.stride, a.stride,
                a.decay + t0 * a.dt_stride, a.dt_stride, xdt, y, count},
               a.state);
    for (int64_t t = 0; t < count; ++t) {
      const F x = LoadPart(a.x + (t0 + t) * a.stride + p, width);
      StorePart(a.y + (t0 + t) * a.y_stride + p, Fma(Set(a.d_skip), x, Load(y + t * kLanes)),
                width);
    }
  }
}

static void Ssd(const SsdArgs& args) {
  for (int64_t p = 0; p < args.head_dim; p += kLanes) SsdChannels(args, p);
}

}  // namespace h1bench::cpu::H1_ISA

#pragma once
#include <stdint.h>

/// The vector kernels of one instruction set, as plain functions over rows. All of them give a row
/// (or head, or query) the same bits whatever else is computed with it.
namespace h1bench::cpu {

/// How activations are stored for the matrix product that follows.
enum class ActKind : int32_t {
  kF32,         // as they are
  kBf16,        // bf16, nearest even
  kF32Rounded,  // rounded to bf16, stored as fp32: machines without bf16 products (weights: bf16)
};
inline int64_t ActBytes(ActKind kind) { return kind == ActKind::kBf16 ? 2 : 4; }

inline int64_t PadLanes(int64_t n) { return (n + 15) / 16 * 16; }

/// The SSM of one head over the tokens of one segment (FALCON_H1.md 4.4).
struct SsdArgs {
  /// (ceil(P/16), N, 16): p in the lanes; behind it one number, the scale that all of it is to be
  /// multiplied by. SsdStateFloats() floats. Null: zeros.
  const float* state_in;
  float* state_out;         // the same, may be state_in; null: not wanted
  const float *x, *b, *c;   // rows of post-conv values at this head's or group's columns
  int64_t stride;           // floats between two tokens of x, b, c
  const float *dt, *decay;  // dt and exp(dt * A) of this head
  int64_t dt_stride;
  float d_skip;
  float* y;
  int64_t y_stride;
  int64_t tokens, head_dim, state;
  float* scratch;  // SsdScratch() floats
};
inline constexpr int64_t kSsdTokens = 64;  // of one pass over the state
int64_t SsdStateFloats(int64_t head_dim, int64_t state);
int64_t SsdScratch(int64_t head_dim, int64_t state);

/// Keys that lie together: K as (hd, 16), then V as (16, hd padded to 16). Where bf16 ones lie in
/// pairs (VectorKernels::kv_step 2): K as (hd / 2, 16, 2), then V as (8, hd padded, 2).
inline constexpr int64_t kKvBlock = 16;
inline constexpr int64_t kKvTile = 128;    // keys of one softmax step, at absolute multiples
inline constexpr int64_t kQueryRows = 32;  // rows of one attention task at most

/// Causal attention of consecutive rows of one sequence for the query heads of one kv head.
struct AttentionArgs {
  const float* q;  // rotated; head h of row r at q + r * q_stride + h * head_dim
  int64_t q_stride;
  int64_t rows, heads, head_dim;
  int64_t first_position;  // position of row 0
  /// Block b holds positions 16 b ... 16 b + 15. What lies behind the last key may be anything, but
  /// where values lie in pairs the last one's partner must be a finite number.
  const void* const* blocks;
  bool kv_bf16;
  float scale;  // of the scores
  float out_scale;
  unsigned char* out;  // activation of row 0, head 0
  int64_t out_stride;  // elements
  ActKind kind;
  float* scratch;  // AttentionScratch() floats
};
int64_t AttentionScratch(int64_t heads, int64_t head_dim);

/// One panel of a product: out (rows, width; leading dimension ldo) = in (rows, k) * panel^T.
struct ProductArgs {
  const void* in;
  int64_t rows, k;
  /// fp32: (k, columns); bf16 beside bf16 rows: (ceil(k / 2), columns, 2); bf16 beside fp32 rows:
  /// (k, columns). Columns past the weight's are 0.
  const void* panel;
  const void* next;  // a panel that will be wanted soon, of the same size; null: none
  float* out;
  int64_t ldo, width;  // width: columns of this panel that the result has
};

/// What a number from the wide input product becomes where it is used: v * scale (+ bias).
struct InAffine {
  const float *scale, *bias;  // of the columns at hand; bias may be null
};

struct VectorKernels {
  const char* name;  // "x86-64-v4", …
  /// out = x * rsqrt(mean(x^2) + eps) * w
  void (*rms_norm)(const float* x, const float* w, int64_t n, float eps, ActKind kind, void* out);
  /// x += o * scale (+ bias)
  void (*add_scaled)(float* x, const float* o, float scale, const float* bias, int64_t n);
  /// x = x * scale + bias, elementwise
  void (*affine)(float* x, const float* scale, const float* bias, int64_t n);
  /// out = (up + up_bias) * silu((gate + gate_bias) * scale); biases may be null
  void (*swiglu)(const float* gate, const float* up, const float* gate_bias, const float* up_bias,
                 float scale, int64_t n, ActKind kind, void* out);
  /// dt = softplus(raw + bias) within [min, max], decay = exp(dt * a)
  void (*time_steps)(const float* raw, const float* bias, const float* a, float min, float max,
                     int64_t n, float* dt, float* decay);
  /// out = silu(bias + sum_k w[k] * in(rows[k])): depthwise conv of one token; w is (K, n); bias
  /// may be null. A null row is before the sequence's beginning and adds nothing.
  void (*conv)(const float* const* rows, const InAffine& in, const float* w, const float* bias,
               int64_t taps, int64_t n, float* out);
  /// The gate in(z) after the SSM and its norm (w null: none; groups of n / groups), times scale; y
  /// is overwritten.
  void (*gate)(float* y, const float* z, const InAffine& in, const float* w, int64_t n,
               int64_t groups, bool norm_first, float eps, float scale, ActKind kind, void* out);
  void (*ssd)(const SsdArgs& args);
  void (*attention)(const AttentionArgs& args);
  /// x *= scale; then argmax (smallest index), its value and log(sum(exp(x))).
  void (*head)(float* x, int64_t n, float scale, int32_t* argmax, float* max, double* log_sum_exp);
  /// One chain over k for every number, the same for every number of rows. product_bf16 takes rows
  /// of bf16_kind.
  void (*product_f32)(const ProductArgs& args);
  void (*product_bf16)(const ProductArgs& args);
  ActKind bf16_kind;
  int64_t kv_step;  // bf16 keys and values: numbers of one chain that lie together
  int64_t panel_columns;
  /// The multiply-adds of a product in `rounds` rounds on registers and the first cache alone;
  /// returns how many operations that were.
  double (*registers_f32)(int64_t rounds);
  double (*registers_bf16)(int64_t rounds);
  /// Reads a multiple of 1024 bytes; the result only keeps it from being left out.
  uint64_t (*read_all)(const void* from, int64_t bytes);
};

/// The tables that this machine can run, best first.
struct KernelList {
  const VectorKernels* tables[4];
  int count;
  const VectorKernels* const* begin() const { return tables; }
  const VectorKernels* const* end() const { return tables + count; }
};
KernelList AllKernels();

/// The best table for this machine, or the one that the environment variable H1BENCH_ISA names
/// (x86-64-v4+bf16, x86-64-v4, x86-64-v3, baseline) when the machine has it.
const VectorKernels& Kernels();

namespace v4_bf16 {
extern const VectorKernels kTable;
}
namespace v4 {
extern const VectorKernels kTable;
}
namespace v3 {
extern const VectorKernels kTable;
}
namespace base {
extern const VectorKernels kTable;
}

}  // namespace h1bench::cpu

#pragma once

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/paths.h"
#include "kernels/cuda/tables.h"

/// The stages of a Forward between the matrix products. Each is one kernel, or those of paths.h of
/// which StageContext::paths names one; a row's or head's numbers never depend on what else is in
/// the batch.
namespace h1bench::H1_CUDA_NAMESPACE {

/// Numbers of a model that the kernels need, by value.
struct Dims {
  std::int64_t vocab, hidden, intermediate, layers;
  std::int64_t heads, kv_heads, head_dim;
  std::int64_t ssm_inner, ssm_heads, ssm_head_dim, ssm_groups, ssm_state, taps, channels;
  std::int64_t z, x, b, c, dt, q, k, v, wide;  // columns of the wide product, and its width
  float norm_eps, dt_min, dt_max;
  float embedding_multiplier, attention_out, ssm_out, lm_head;
  bool gated_norm, norm_before_gate;
  explicit Dims(const ModelShape& shape);
};

/// One layer's vectors on the device; null: the model has none.
struct LayerPointers {
  const float *input_norm, *in_scale, *in_bias, *conv, *conv_bias, *dt_bias, *a, *d_skip, *ssm_norm;
  const float *out_bias, *ff_norm, *gate_bias, *up_bias, *down_bias;
  const void *in, *out, *gate_up, *down;  // matrices
};

/// Activations of a Forward; fp32 unless `In` (the products' input type: bf16, or fp32).
struct Buffers {
  float* x;           // (rows, hidden): residual stream
  void* normed;       // (rows, RoundUp(hidden, kPadK)) In
  float* wide;        // (rows, Dims::wide)
  void* conv;         // (rows, channels): after conv and silu; bf16 when layout.chunked, else fp32
  void *q, *k, *v;    // (rows, heads * hd), (rows, kv_heads * hd) twice, In; rotated
  float *dt, *decay;  // (rows, ssm_heads); no decay when layout.chunked
  float* y;           // (rows, ssm_inner): only with a gated norm
  void* mixed;        // (rows, RoundUp(ssm_inner + heads * hd, kPadK)) In
  void* swiglu;       // (rows, RoundUp(intermediate, kPadK)) In
  float *cos, *sin;   // (rows, hd / 2)
  float* last_x;      // (asked, hidden)
  void* last_mixed;   // as mixed, asked rows
  float* logits;      // (kLogitRows, vocab)
};

/// Longest row that the norms' kernels for rows of fours hold in registers.
inline constexpr std::int64_t kLongestFours = 8192;

/// Rows of logits that are computed together.
inline constexpr std::int64_t kLogitRows = 128;

struct StageContext {
  Dims dims;
  StateLayout layout;
  DeviceBatch batch;
  Buffers buffers;
  bool bf16;
  Stream stream;
  Paths paths = {};  // the kernels that this model takes on this card
};

/// Residual stream = embedding row * multiplier; cos and sin of every row's RoPE angles, in double.
void Embed(const StageContext& c, const void* table, double rope_base);
/// normed = x * rsqrt(mean(x^2) + eps) * weight
void RmsNorm(const StageContext& c, const float* x, const float* weight, std::int64_t rows,
             void* normed);
/// Its two kernels: for any row, and for rows of fours to kLongestFours.
void NormPlain(const StageContext& c, const float* x, const float* weight, std::int64_t rows,
               void* normed);
void NormFours(const StageContext& c, const float* x, const float* weight, std::int64_t rows,
               void* normed);
/// From the wide product's rows: conv + silu, time steps, RoPE, keys and values to the rows.
void PostIn(const StageContext& c, const LayerPointers& w, std::int64_t layer);
/// Its two kernels, with the same bits: for any shape, and where rows are of fours and taps four.
void PostInPlain(const StageContext& c, const LayerPointers& w, std::int64_t layer);
void PostInFours(const StageContext& c, const LayerPointers& w, std::int64_t layer);
/// The SSM recurrence, its gate (unless there is a norm), into the first columns of mixed.
void Scan(const StageContext& c, const LayerPointers& w, std::int64_t layer);
/// Whether PostIn leaves in the slots what Keep would: in a decode step, by the kernel in fours.
bool PostInKeeps(const StageContext& c);
/// What kept segments leave for later calls: keys and values to the pages, recent inputs. After the
/// scan and the attention, which still read what lies there (a fork's; a step in place does not).
void Keep(const StageContext& c, std::int64_t layer);
/// Gate and norm for models with a gated norm; its two kernels as RmsNorm's.
void GateNorm(const StageContext& c, const LayerPointers& w);
void GateNormPlain(const StageContext& c, const LayerPointers& w);
void GateNormFours(const StageContext& c, const LayerPointers& w);
/// Causal attention into the last columns of mixed.
void Attend(const StageContext& c, std::int64_t layer);
/// Rows of a segment that an attention tile takes.
std::int64_t AttentionTileRows(const ModelShape& shape, bool bf16);
/// x and mixed of the asked rows, to last_x and last_mixed.
void GatherAsked(const StageContext& c);

struct HeadRow {
  double log_sum_exp;
  float max;
  std::int32_t argmax;
};
/// Answers of `count` rows from their logits: which are scaled in place.
void Head(const StageContext& c, std::int64_t first_asked, std::int64_t count, HeadRow* rows,
          float* target_logits);

}  // namespace h1bench::H1_CUDA_NAMESPACE

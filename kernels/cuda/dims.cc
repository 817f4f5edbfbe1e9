#include "kernels/common/layer_vectors.h"
#include "kernels/cuda/stages.h"

namespace h1bench::H1_CUDA_NAMESPACE {

Dims::Dims(const ModelShape& s)
    : vocab(s.vocab),
      hidden(s.hidden),
      intermediate(s.intermediate),
      layers(s.layers),
      heads(s.heads),
      kv_heads(s.kv_heads),
      head_dim(s.head_dim),
      ssm_inner(s.ssm_inner),
      ssm_heads(s.ssm_heads),
      ssm_head_dim(s.ssm_head_dim),
      ssm_groups(s.ssm_groups),
      ssm_state(s.ssm_state),
      taps(s.conv_taps),
      channels(s.conv_channels()),
      norm_eps(s.norm_eps),
      dt_min(s.dt_min),
      dt_max(s.dt_max),
      embedding_multiplier(s.embedding_multiplier),
      attention_out(s.attention_out_multiplier),
      ssm_out(s.ssm_out_multiplier),
      lm_head(s.lm_head_multiplier),
      gated_norm(s.gated_norm),
      norm_before_gate(s.norm_before_gate) {
  const common::InColumns at(s);
  z = at.z, x = at.x, b = at.b, c = at.c, dt = at.dt, q = at.q, k = at.k, v = at.v;
  wide = at.total;
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

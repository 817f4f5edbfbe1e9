#include "kernels/common/check_weights.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace h1bench::common {
namespace {

Status Check(const char* name, const TensorView& view, std::vector<std::int64_t> expected,
             bool optional = false) {
  if (view.empty() && optional) return Status::Ok();
  if (view.generated && view.shape == expected && expected.size() == 2) return Status::Ok();
  std::int64_t elements = 1;
  for (const std::int64_t dimension : expected) elements *= dimension;
  if (view.shape != expected ||
      view.bytes.size() != static_cast<std::size_t>(elements) * DTypeBytes(view.dtype)) {
    return InvalidArgument("{}: expected shape [{}], found [{}] in {} bytes of {}", name,
                           fmt::join(expected, ", "), fmt::join(view.shape, ", "),
                           view.bytes.size(), DTypeName(view.dtype));
  }
  return Status::Ok();
}

Status CheckMixer(const ModelShape& s, const LayerWeights& w) {
  H1_RETURN_IF_ERROR(Check("mamba.in_proj.weight", w.ssm_in, {s.in_proj_rows(), s.hidden}));
  H1_RETURN_IF_ERROR(Check("mamba.in_proj.bias", w.ssm_in_bias, {s.in_proj_rows()}, true));
  H1_RETURN_IF_ERROR(Check("mamba.conv1d.weight", w.conv, {s.conv_channels(), 1, s.conv_taps}));
  H1_RETURN_IF_ERROR(Check("mamba.conv1d.bias", w.conv_bias, {s.conv_channels()}, true));
  H1_RETURN_IF_ERROR(Check("mamba.dt_bias", w.dt_bias, {s.ssm_heads}));
  H1_RETURN_IF_ERROR(Check("mamba.A_log", w.a_log, {s.ssm_heads}));
  H1_RETURN_IF_ERROR(Check("mamba.D", w.d_skip, {s.ssm_heads}));
  H1_RETURN_IF_ERROR(Check("mamba.norm.weight", w.ssm_norm, {s.ssm_inner}, !s.gated_norm));
  H1_RETURN_IF_ERROR(Check("mamba.out_proj.weight", w.ssm_out, {s.hidden, s.ssm_inner}));
  H1_RETURN_IF_ERROR(Check("mamba.out_proj.bias", w.ssm_out_bias, {s.hidden}, true));
  return Status::Ok();
}

Status CheckAttention(const ModelShape& s, const LayerWeights& w) {
  H1_RETURN_IF_ERROR(Check("self_attn.q_proj.weight", w.q, {s.query_rows(), s.hidden}));
  H1_RETURN_IF_ERROR(Check("self_attn.q_proj.bias", w.q_bias, {s.query_rows()}, true));
  H1_RETURN_IF_ERROR(Check("self_attn.k_proj.weight", w.k, {s.key_rows(), s.hidden}));
  H1_RETURN_IF_ERROR(Check("self_attn.k_proj.bias", w.k_bias, {s.key_rows()}, true));
  H1_RETURN_IF_ERROR(Check("self_attn.v_proj.weight", w.v, {s.key_rows(), s.hidden}));
  H1_RETURN_IF_ERROR(Check("self_attn.v_proj.bias", w.v_bias, {s.key_rows()}, true));
  H1_RETURN_IF_ERROR(Check("self_attn.o_proj.weight", w.o, {s.hidden, s.query_rows()}));
  H1_RETURN_IF_ERROR(Check("self_attn.o_proj.bias", w.o_bias, {s.hidden}, true));
  return Status::Ok();
}

Status CheckLayer(const ModelShape& s, const LayerWeights& w) {
  H1_RETURN_IF_ERROR(Check("input_layernorm.weight", w.input_norm, {s.hidden}));
  H1_RETURN_IF_ERROR(CheckMixer(s, w));
  H1_RETURN_IF_ERROR(CheckAttention(s, w));
  H1_RETURN_IF_ERROR(Check("pre_ff_layernorm.weight", w.ff_norm, {s.hidden}));
  H1_RETURN_IF_ERROR(Check("feed_forward.gate_proj.weight", w.gate, {s.intermediate, s.hidden}));
  H1_RETURN_IF_ERROR(Check("feed_forward.gate_proj.bias", w.gate_bias, {s.intermediate}, true));
  H1_RETURN_IF_ERROR(Check("feed_forward.up_proj.weight", w.up, {s.intermediate, s.hidden}));
  H1_RETURN_IF_ERROR(Check("feed_forward.up_proj.bias", w.up_bias, {s.intermediate}, true));
  H1_RETURN_IF_ERROR(Check("feed_forward.down_proj.weight", w.down, {s.hidden, s.intermediate}));
  H1_RETURN_IF_ERROR(Check("feed_forward.down_proj.bias", w.down_bias, {s.hidden}, true));
  return Status::Ok();
}

Status CheckShape(const ModelShape& s) {
  for (const std::int64_t value :
       {s.vocab, s.hidden, s.intermediate, s.layers, s.heads, s.kv_heads, s.head_dim, s.ssm_inner,
        s.ssm_heads, s.ssm_head_dim, s.ssm_groups, s.ssm_state, s.conv_taps}) {
    if (value <= 0)
      return InvalidArgument("model shape: every size must be positive, found {}", value);
  }
  if (s.heads % s.kv_heads != 0 || s.heads / s.kv_heads > 64) {
    return InvalidArgument(
        "model shape: {} heads on {} kv heads (a whole number of at most 64 each)", s.heads,
        s.kv_heads);
  }
  if (s.head_dim % 2 != 0) return InvalidArgument("model shape: head_dim {} is odd", s.head_dim);
  if (s.ssm_heads % s.ssm_groups != 0 || s.ssm_inner % s.ssm_groups != 0 ||
      s.ssm_inner != s.ssm_heads * s.ssm_head_dim) {
    return InvalidArgument("model shape: ssm_inner {} is not {} heads of {} in {} groups",
                           s.ssm_inner, s.ssm_heads, s.ssm_head_dim, s.ssm_groups);
  }
  return Status::Ok();
}

bool AnyFormula(const ModelWeights& weights) {
  const auto formula = [](const TensorView& view) { return view.generated.has_value(); };
  const auto in_layer = [&](const LayerWeights& w) {
    return formula(w.ssm_in) || formula(w.ssm_out) || formula(w.q) || formula(w.k) ||
           formula(w.v) || formula(w.o) || formula(w.gate) || formula(w.up) || formula(w.down);
  };
  return formula(weights.embedding) || formula(weights.lm_head) ||
         std::any_of(weights.layers.begin(), weights.layers.end(), in_layer);
}

}  // namespace

Status CheckWeights(const ModelShape& shape, const ModelWeights& weights, bool formulas) {
  H1_RETURN_IF_ERROR(CheckShape(shape));
  if (!formulas && AnyFormula(weights))
    return InvalidArgument("this device does not make weights from formulas: give their bytes");
  if (static_cast<std::int64_t>(weights.layers.size()) != shape.layers) {
    return InvalidArgument("expected {} layers, found weights of {}", shape.layers,
                           weights.layers.size());
  }
  H1_RETURN_IF_ERROR(
      Check("model.embed_tokens.weight", weights.embedding, {shape.vocab, shape.hidden}));
  H1_RETURN_IF_ERROR(Check("model.final_layernorm.weight", weights.final_norm, {shape.hidden}));
  H1_RETURN_IF_ERROR(Check("lm_head.weight", weights.lm_head, {shape.vocab, shape.hidden}));
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    const Status status = CheckLayer(shape, weights.layers[i]);
    if (!status.ok()) return status.WithContext(fmt::format("model.layers.{}", i));
  }
  return Status::Ok();
}

}  // namespace h1bench::common

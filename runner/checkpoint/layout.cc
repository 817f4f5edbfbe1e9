#include "runner/checkpoint/layout.h"

#include "runner/checkpoint/safetensors.h"

namespace h1bench {
namespace {

using Dims = std::vector<std::int64_t>;

/// Visits the tensors of one layer below its name.
class LayerVisitor {
 public:
  LayerVisitor(std::string prefix, const TensorVisitor& visit)
      : prefix_(std::move(prefix)), visit_(visit) {}

  void Tensor(const char* name, const Dims& shape, TensorView& view) {
    if (status_.ok()) status_ = visit_(prefix_ + name, shape, view);
  }
  /// NAME.weight and, when there is one, NAME.bias.
  void Linear(const char* name, std::int64_t out, std::int64_t in, TensorView& weight,
              bool has_bias, TensorView& bias) {
    Tensor((std::string(name) + ".weight").c_str(), {out, in}, weight);
    if (has_bias) Tensor((std::string(name) + ".bias").c_str(), {out}, bias);
  }
  const Status& status() const { return status_; }

 private:
  std::string prefix_;
  const TensorVisitor& visit_;
  Status status_;
};

Status VisitLayer(const ModelShape& s, std::int64_t index, LayerWeights& w,
                  const TensorVisitor& visit) {
  LayerVisitor layer(fmt::format("model.layers.{}.", index), visit);
  layer.Tensor("input_layernorm.weight", {s.hidden}, w.input_norm);
  layer.Linear("mamba.in_proj", s.in_proj_rows(), s.hidden, w.ssm_in, s.ssm_in_bias, w.ssm_in_bias);
  layer.Tensor("mamba.conv1d.weight", {s.conv_channels(), 1, s.conv_taps}, w.conv);
  if (s.conv_bias) layer.Tensor("mamba.conv1d.bias", {s.conv_channels()}, w.conv_bias);
  layer.Tensor("mamba.dt_bias", {s.ssm_heads}, w.dt_bias);
  layer.Tensor("mamba.A_log", {s.ssm_heads}, w.a_log);
  layer.Tensor("mamba.D", {s.ssm_heads}, w.d_skip);
  if (s.gated_norm) layer.Tensor("mamba.norm.weight", {s.ssm_inner}, w.ssm_norm);
  layer.Linear("mamba.out_proj", s.hidden, s.ssm_inner, w.ssm_out, s.ssm_out_bias, w.ssm_out_bias);
  layer.Linear("self_attn.q_proj", s.query_rows(), s.hidden, w.q, s.attention_bias, w.q_bias);
  layer.Linear("self_attn.k_proj", s.key_rows(), s.hidden, w.k, s.attention_bias, w.k_bias);
  layer.Linear("self_attn.v_proj", s.key_rows(), s.hidden, w.v, s.attention_bias, w.v_bias);
  layer.Linear("self_attn.o_proj", s.hidden, s.query_rows(), w.o, s.attention_bias, w.o_bias);
  layer.Tensor("pre_ff_layernorm.weight", {s.hidden}, w.ff_norm);
  layer.Linear("feed_forward.gate_proj", s.intermediate, s.hidden, w.gate, s.mlp_bias, w.gate_bias);
  layer.Linear("feed_forward.up_proj", s.intermediate, s.hidden, w.up, s.mlp_bias, w.up_bias);
  layer.Linear("feed_forward.down_proj", s.hidden, s.intermediate, w.down, s.mlp_bias, w.down_bias);
  return layer.status();
}

}  // namespace

Status VisitTensors(const ModelShape& shape, ModelWeights& weights, const TensorVisitor& visit) {
  H1_RETURN_IF_ERROR(
      visit("model.embed_tokens.weight", {shape.vocab, shape.hidden}, weights.embedding));
  for (std::int64_t i = 0; i < shape.layers; ++i) {
    if (static_cast<std::int64_t>(weights.layers.size()) <= i) weights.layers.emplace_back();
    H1_RETURN_IF_ERROR(VisitLayer(shape, i, weights.layers[static_cast<std::size_t>(i)], visit));
  }
  H1_RETURN_IF_ERROR(visit("model.final_layernorm.weight", {shape.hidden}, weights.final_norm));
  if (shape.tied_embeddings) return Status::Ok();
  return visit("lm_head.weight", {shape.vocab, shape.hidden}, weights.lm_head);
}

std::int64_t CountParameters(const ModelShape& shape) {
  std::int64_t total = 0;
  ModelWeights scratch;
  const Status status =
      VisitTensors(shape, scratch, [&](const std::string&, const Dims& dims, TensorView&) {
        total += ElementCount(dims).value_or(0);
        return Status::Ok();
      });
  return status.ok() ? total : 0;
}

}  // namespace h1bench

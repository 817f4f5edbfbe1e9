#include "runner/checkpoint/footprint.h"

#include "runner/checkpoint/layout.h"
#include "runner/checkpoint/safetensors.h"

namespace h1bench {
namespace {

std::int64_t& PartOf(const std::string& name, Footprint& footprint) {
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  if (has("embed_tokens")) return footprint.embedding;
  if (has("lm_head")) return footprint.lm_head;
  if (has(".mamba.")) return footprint.mamba;
  if (has(".self_attn.")) return footprint.attention;
  if (has(".feed_forward.")) return footprint.mlp;
  return footprint.norms;
}

}  // namespace

Footprint ComputeFootprint(const ModelShape& shape) {
  Footprint footprint;
  ModelWeights scratch;
  const Status counted =
      VisitTensors(shape, scratch, [&](const auto& name, const auto& dims, TensorView&) {
        PartOf(name, footprint) += ElementCount(dims).value_or(0);
        return Status::Ok();
      });
  static_cast<void>(counted);  // the visitor never fails
  footprint.kv_per_token = shape.layers * 2 * shape.key_rows() * 2;
  footprint.ssm_per_sequence = shape.layers * shape.ssm_inner * shape.ssm_state * 4;
  footprint.conv_per_sequence = shape.layers * shape.conv_channels() * (shape.conv_taps - 1) * 4;
  return footprint;
}

}  // namespace h1bench

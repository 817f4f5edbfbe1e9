#include "kernels/cpu/memory_plan.h"

#include "kernels/cpu/backend.h"
#include "kernels/cpu/weights.h"
#include "kernels/cpu/workspace.h"

namespace h1bench::cpu {
namespace {

std::int64_t LayerBytes(const ModelShape& s, ActKind kind) {
  const InColumns at(s);
  const std::int64_t matrices = PackedBytes(at.total, s.hidden, kind) +
                                PackedBytes(s.hidden, s.ssm_inner + s.query_rows(), kind) +
                                PackedBytes(2 * s.intermediate, s.hidden, kind) +
                                PackedBytes(s.hidden, s.intermediate, kind);
  const bool in_bias = s.ssm_in_bias || s.attention_bias;
  const std::int64_t floats =
      2 * s.hidden + at.total * (in_bias ? 2 : 1) + s.conv_channels() * s.conv_taps +
      (s.conv_bias ? s.conv_channels() : 0) + 3 * s.ssm_heads + (s.gated_norm ? s.ssm_inner : 0) +
      (s.ssm_out_bias || s.attention_bias ? s.hidden : 0) +
      (s.mlp_bias ? 2 * s.intermediate + s.hidden : 0);
  return matrices + floats * 4;
}

}  // namespace

std::int64_t PlanWeights(const ModelShape& s, Precision precision) {
  const ActKind kind = KindFor(precision);
  return s.layers * LayerBytes(s, kind) + PackedBytes(s.vocab, s.hidden, kind) +
         s.vocab * s.hidden * (precision == Precision::kBf16 ? 2 : 4) + s.hidden * 4;
}

MemoryPlan PlanMemory(const ModelShape& shape, const BackendOptions& options, std::int64_t slots,
                      std::int64_t tokens) {
  const StateLayout layout(shape, options.precision == Precision::kBf16);
  MemoryPlan plan;
  plan.weights = PlanWeights(shape, options.precision);
  plan.kv = slots * ((tokens + kKvBlock - 1) / kKvBlock) * layout.page_bytes;
  plan.state = slots * layout.state_bytes();
  plan.workspace = WorkspaceSizes(shape, options, KindFor(options.precision)).total();
  plan.context = kContextBytes;
  return plan;
}

}  // namespace h1bench::cpu

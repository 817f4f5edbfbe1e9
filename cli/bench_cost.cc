#include "cli/bench_cost.h"

namespace h1bench::cli {

ForwardCost CostOfForward(const ModelShape& s, const BackendOptions& options,
                          std::int64_t sequences, std::int64_t tokens, std::int64_t context) {
  const auto d = static_cast<double>(s.hidden), layers = static_cast<double>(s.layers);
  const auto rows = static_cast<double>(sequences * tokens), n = static_cast<double>(sequences);
  const double layer_weights = d * static_cast<double>(s.in_proj_rows() + s.ssm_inner) +
                               d * static_cast<double>(2 * s.query_rows() + 2 * s.key_rows()) +
                               3 * d * static_cast<double>(s.intermediate);
  const double head = d * static_cast<double>(s.vocab);
  // A token at position p sees p + 1 keys: two products of query_rows each.
  const double seen = static_cast<double>(tokens) * static_cast<double>(context) +
                      static_cast<double>(tokens) * static_cast<double>(tokens + 1) / 2;
  const double state = static_cast<double>(s.ssm_inner * s.ssm_state);

  ForwardCost cost;
  cost.flops = 2 * layers * layer_weights * rows + 2 * head * n +
               layers * (4 * static_cast<double>(s.query_rows()) * seen * n + 6 * state * rows);
  const MemoryPlan plan = PlanMemory(s, options, sequences, context + tokens);
  const double embedding =
      static_cast<double>(s.vocab) * d * (options.precision == Precision::kBf16 ? 2 : 4);
  cost.bytes = static_cast<double>(plan.weights) - embedding + n * StateTraffic(s, options) +
               static_cast<double>(plan.kv);
  return cost;
}

}  // namespace h1bench::cli

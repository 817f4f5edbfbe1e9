// ParseModelConfig and ApplyGenerationConfig on arbitrary text. An accepted config satisfies every
// rule that the engine relies on; without a time step limit (written in more than one way) it is
// also written and read back the same.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/synthesize.h"

namespace {

using namespace h1bench;

void Demand(bool condition) {
  if (!condition) std::abort();
}

void CheckShape(const ModelShape& s) {
  for (const std::int64_t dimension :
       {s.vocab, s.hidden, s.intermediate, s.layers, s.heads, s.kv_heads, s.head_dim, s.ssm_inner,
        s.ssm_heads, s.ssm_head_dim, s.ssm_groups, s.ssm_state, s.conv_taps, s.chunk,
        s.max_positions})
    Demand(dimension >= 1 && dimension <= std::int64_t{1} << 31);
  Demand(s.heads % s.kv_heads == 0 && s.head_dim % 2 == 0);
  Demand(s.ssm_heads * s.ssm_head_dim == s.ssm_inner && s.ssm_heads % s.ssm_groups == 0);
  Demand(s.rope_base > 0 && std::isfinite(s.rope_base) && std::isfinite(s.norm_eps) &&
         s.norm_eps >= 0);
  Demand(s.dt_min <= s.dt_max);
  for (const float multiplier :
       {s.embedding_multiplier, s.lm_head_multiplier, s.attention_in_multiplier,
        s.attention_out_multiplier, s.key_multiplier, s.ssm_in_multiplier, s.ssm_out_multiplier})
    Demand(std::isfinite(multiplier));
}

void CheckIds(const ModelConfig& config) {
  for (const std::int32_t id : config.eos_ids) Demand(id >= 0 && id < config.shape.vocab);
  Demand(!config.bos_id || (*config.bos_id >= 0 && *config.bos_id < config.shape.vocab));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  auto config = ParseModelConfig(text, "fuzz");
  if (!config.ok()) {
    Demand(config.status().message().starts_with("fuzz: "));
    return 0;
  }
  CheckShape(config->shape);
  CheckIds(*config);
  if (ApplyGenerationConfig(text, "fuzz", *config).ok()) CheckIds(*config);
  if (config->shape.vocab < 18) return 0;  // the written config names ids 11 and 17
  const std::string written = MakeConfigJson(config->shape);
  const auto again = ParseModelConfig(written, "again");
  Demand(again.ok());
  Demand(MakeConfigJson(again->shape) == written);
  return 0;
}

#include "kernels/cpu/workspace.h"

#include <algorithm>

#include "kernels/cpu/batch.h"
#include "kernels/cpu/threads.h"
#include "kernels/cpu/weights.h"

namespace h1bench::cpu {

WorkspaceSizes::WorkspaceSizes(const ModelShape& s, const BackendOptions& options, ActKind kind) {
  const std::int64_t rows = std::min(options.max_batch_tokens, kBlockRows);
  const auto floats = [&](std::int64_t columns) { return rows * columns * 4; };
  x = options.max_batch_tokens * s.hidden * 4;
  wide = floats(std::max(InColumns(s).total, 2 * s.intermediate));
  act = rows * std::max({s.hidden, s.ssm_inner + s.query_rows(), s.intermediate}) * ActBytes(kind);
  conv = floats(s.conv_channels());
  y = floats(s.ssm_inner);
  out = floats(s.hidden);
  dt = decay = floats(s.ssm_heads);
  angles = options.max_batch_tokens * (s.head_dim / 2) * 4;
  const StateLayout layout(s, options.precision == Precision::kBf16);
  carried = rows < options.max_batch_tokens ? 2 * layout.layer_floats() * 4 : 0;
  logits = kHeadRows * s.vocab * 4;
  per_thread = 4 * std::max(SsdScratch(s.ssm_head_dim, s.ssm_state),
                            AttentionScratch(s.heads / s.kv_heads, s.head_dim)) +
               64;
  per_thread = per_thread / 64 * 64 + 64;
  threads = ThreadCount(options.threads);
  // Every !keep segment may begin inside a block of its slot.
  const std::int64_t blocks =
      (options.max_batch_tokens + kKvBlock - 1) / kKvBlock + 2 * options.max_batch_rows;
  kv_scratch = blocks * layout.kv_layer_bytes;
}

Workspace::Workspace(const WorkspaceSizes& sizes)
    : x(sizes.x),
      wide(sizes.wide),
      act(sizes.act),
      conv(sizes.conv),
      y(sizes.y),
      out(sizes.out),
      dt(sizes.dt),
      decay(sizes.decay),
      cos(sizes.angles),
      sin(sizes.angles),
      carried(sizes.carried),
      logits(sizes.logits),
      per_thread(sizes.per_thread * sizes.threads),
      kv_scratch(sizes.kv_scratch),
      thread_bytes(sizes.per_thread),
      bytes(sizes.total()) {}

}  // namespace h1bench::cpu

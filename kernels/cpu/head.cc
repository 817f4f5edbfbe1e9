#include "kernels/cpu/head.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/threads.h"

namespace h1bench::cpu {
namespace {

RowResult Answer(const LayerContext& c, const RowQuery& query, float* logits) {
  RowResult result;
  c.kernels.head(logits, c.shape.vocab, c.shape.lm_head_multiplier, &result.argmax,
                 &result.argmax_logit, &result.log_sum_exp);
  for (const std::int32_t target : query.targets) result.target_logits.push_back(logits[target]);
  if (query.full != nullptr)
    std::memcpy(query.full, logits, static_cast<std::size_t>(c.shape.vocab) * 4);
  return result;
}

}  // namespace

std::vector<RowResult> AnswerRows(const LayerContext& c) {
  const auto rows = static_cast<std::int64_t>(c.batch.asked.size());
  std::vector<RowResult> results(static_cast<std::size_t>(rows));
  for (std::int64_t first = 0; first < rows; first += kHeadRows) {
    const std::int64_t count = std::min(kHeadRows, rows - first);
    Norm(c, c.model.final_norm, {first, count});
    c.model.head.Run(c.work.act.data(), c.work.logits.floats(), count);
    ParallelFor(count, [&](std::int64_t i) {
      const auto at = static_cast<std::size_t>(first + i);
      results[at] = Answer(c, *c.batch.queries[at], c.work.logits.floats() + i * c.shape.vocab);
    });
  }
  return results;
}

}  // namespace h1bench::cpu

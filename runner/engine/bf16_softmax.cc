#include "runner/engine/bf16_softmax.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/convert.h"

namespace h1bench::engine {

double RoundToBf16(double value) {
  return static_cast<double>(common::FromBf16(common::ToBf16(static_cast<float>(value))));
}

Bf16LogSoftmax::Bf16LogSoftmax(std::span<const float> logits) : logits_(logits) {
  double highest = RoundToBf16(static_cast<double>(logits[0]));
  for (const float logit : logits)
    highest = std::max(highest, RoundToBf16(static_cast<double>(logit)));
  double sum = 0;
  for (const float logit : logits)
    sum += std::exp(RoundToBf16(static_cast<double>(logit)) - highest);
  log_sum_exp_ = highest + std::log(sum);
  double best = LogProb(0);
  for (std::int32_t id = 1; id < static_cast<std::int32_t>(logits.size()); ++id) {
    const double value = LogProb(id);
    if (value > best) {
      best = value;
      argmax_ = id;
    }
  }
}

double Bf16LogSoftmax::LogProb(std::int32_t id) const {
  return RoundToBf16(RoundToBf16(static_cast<double>(logits_[static_cast<std::size_t>(id)])) -
                     log_sum_exp_);
}

}  // namespace h1bench::engine

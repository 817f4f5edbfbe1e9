#pragma once

#include <cstdint>
#include <span>

namespace h1bench::engine {

/// log_softmax of a row as lm-eval gets it from a bf16 model: the logits are bf16, the normaliser
/// is summed in a wider type, each log-probability is rounded to bf16 (nearest, ties to even). Near
/// a log-probability of -20 neighbours are 0.125 apart, so that different ids may come out equal.
/// Pure; the sum runs in the order of the ids.
class Bf16LogSoftmax {
 public:
  explicit Bf16LogSoftmax(std::span<const float> logits);

  double LogProb(std::int32_t id) const;
  /// The id that argmax finds among the rounded log-probabilities: the smallest of equals.
  std::int32_t argmax() const { return argmax_; }

 private:
  std::span<const float> logits_;
  double log_sum_exp_ = 0;
  std::int32_t argmax_ = 0;
};

/// The nearest bf16; also what PyTorch's sum over a bf16 tensor gives of the exact sum.
double RoundToBf16(double value);

}  // namespace h1bench::engine

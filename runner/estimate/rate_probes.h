#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runner/estimate/forward_rates.h"

namespace h1bench {

/// One Forward to time: `segments` of `tokens` each behind `context` tokens, one row asked in all
/// (`asked` of the first), or one in each segment where they are steps of generations.
struct Probe {
  std::int64_t segments = 1, tokens = 1, context = 0, asked = 1;
  bool steps = false;
  bool shallow = false;  // in the model of one layer only
  bool operator==(const Probe&) const = default;
};

/// The probes' times, by place, in a model of one layer and, of those that are for it, in one of
/// `more` more. Each has a share of the words: whole heads would take longer to make than all else.
struct ProbeTimes {
  std::vector<double> shallow, deep;
  std::int64_t more = 0;
  double shallow_share = 1, deep_share = 1;
};

/// What is timed, and what the times mean. Pure arithmetic.
class RateProbes {
 public:
  /// `most_tokens`: of one Forward; `max_batch`: generations in flight.
  RateProbes(bool cpu, std::int64_t most_tokens, std::int64_t max_batch);

  const std::vector<Probe>& all() const { return probes_; }
  /// Of the words, that the model of one layer may have: the head's part of a time must be told
  /// from the layer's.
  double least_shallow_share() const { return steps_.size() > 1 ? 0.25 : 1; }
  /// For a model of so many layers.
  ForwardRates Rates(const ProbeTimes& times, std::int64_t layers) const;

 private:
  std::size_t Add(const Probe& probe);
  double Layer(const ProbeTimes& times, std::size_t probe) const;
  double Head(const ProbeTimes& times, std::size_t steps) const;
  double Whole(const ProbeTimes& times, std::size_t probe, std::int64_t layers) const;
  double AskedRow(const ProbeTimes& times) const;

  std::vector<Probe> probes_;
  std::vector<std::size_t> prompts_, steps_;  // places in probes_
  std::int64_t context_ = 0;
  std::size_t near_ = 0, far_ = 0, one_ = 0, cut_ = 0, scored_ = 0, near_step_ = 0, far_step_ = 0;
};

}  // namespace h1bench

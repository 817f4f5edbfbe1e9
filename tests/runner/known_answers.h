#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "runner/checkpoint/synthesize.h"
#include "runner/engine/self_test.h"
#include "tests/runner/reference_model.h"

/// The self-test's answers in float64: what self_test_answers.cc stores and its test checks.
namespace h1bench::testing {

inline const SyntheticModel& SelfTestModel() {
  static const SyntheticModel model = SynthesizeInMemory(SelfTestShape(), kSelfTestWeights).value();
  return model;
}

/// What float64 answers to a seed; margin: how far the greedy tokens are ahead of the next.
inline KnownAnswer ComputeAnswer(const ReferenceModel& model, std::int64_t seed, double& margin) {
  KnownAnswer answer;
  answer.seed = seed;
  const std::vector<EngineRequest> pair = KnownRequests(std::span(&answer, 1));
  std::vector<std::int32_t> ids = pair[0].context_ids;
  margin = 1e9;
  for (std::int32_t& token : answer.tokens) {
    Vector logits = model.Logits(ids).back();
    const auto best = std::max_element(logits.begin(), logits.end());
    token = static_cast<std::int32_t>(best - logits.begin());
    const double highest = *best;
    *best = -1e9;
    margin = std::min(margin, highest - *std::max_element(logits.begin(), logits.end()));
    ids.push_back(token);
  }
  ids = pair[1].context_ids;
  const std::size_t prompt = ids.size();
  const std::vector<std::int32_t>& scored = pair[1].continuation_ids[0];
  ids.insert(ids.end(), scored.begin(), scored.end() - 1);
  const std::vector<Vector> rows = model.Logits(ids);
  for (std::size_t i = 0; i < scored.size(); ++i) {
    const Vector& row = rows[prompt - 1 + i];
    answer.loglikelihood += row[static_cast<std::size_t>(scored[i])] - LogSumExp(row);
  }
  return answer;
}

/// Answers to the first `count` seeds whose tokens stand out, so that bf16 chooses them, too.
inline std::vector<KnownAnswer> MakeKnownAnswers(std::size_t count) {
  constexpr double kLeastMargin = 0.4;  // logits
  const ReferenceModel model(SelfTestModel().shape, SelfTestModel().weights);
  std::vector<KnownAnswer> answers;
  for (std::int64_t seed = 1; answers.size() < count; ++seed) {
    double margin = 0;
    const KnownAnswer answer = ComputeAnswer(model, seed, margin);
    if (margin > kLeastMargin) answers.push_back(answer);
  }
  return answers;
}

}  // namespace h1bench::testing

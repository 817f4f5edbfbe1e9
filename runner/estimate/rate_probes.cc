#include "runner/estimate/rate_probes.h"

#include <algorithm>

namespace h1bench {
namespace {

constexpr std::int64_t kSteps = 8;    // sequences of the two probes of steps' keys
constexpr std::int64_t kScored = 16;  // rows asked beyond one

}  // namespace

RateProbes::RateProbes(bool cpu, std::int64_t most, std::int64_t max_batch) {
  const std::int64_t many = std::min<std::int64_t>(cpu ? 192 : 256, most);
  // A CPU is limited by its arithmetic long before 32.
  const std::int64_t batches = std::min({max_batch, most, cpu ? 32 : most});
  for (std::int64_t batch = 1, factor = cpu ? 8 : 4; batch < factor * batches; batch *= factor)
    steps_.push_back(Add({std::min(batch, batches), 1, 0, 1, true}));
  prompts_.push_back(steps_.front());  // a prompt of one token is a step
  for (const std::int64_t tokens :
       {std::int64_t{64}, many, std::int64_t{2048}, std::int64_t{8192}}) {
    const bool gpu_only = tokens > many;  // a CPU's rate is the same from there on
    if (tokens <= most && (!gpu_only || !cpu) && tokens > probes_[prompts_.back()].tokens)
      prompts_.push_back(Add({1, tokens, 0, 1, false}));
  }
  // What only the mixer costs is seen in one layer, where the products do not drown it. A GPU's
  // one layer is too short for that.
  context_ = std::min<std::int64_t>(512, most);
  near_ = Add({1, many, 0, 1, false});
  far_ = Add({1, many, context_, 1, false, cpu});
  one_ = Add({1, 64, 0, 1, false});
  cut_ = Add({8, 8, 0, 1, false, cpu});
  scored_ = Add({1, 64, 0, 1 + kScored, false, true});
  near_step_ = Add({kSteps, 1, 0, 1, true});
  far_step_ = Add({kSteps, 1, context_, 1, true, cpu});
}

ForwardRates RateProbes::Rates(const ProbeTimes& times, std::int64_t layers) const {
  const std::vector<double>& shallow = times.shallow;
  const auto whole = [&](std::size_t probe) { return Whole(times, probe, layers); };
  const auto mixers = [&](std::size_t a, std::size_t b) {
    const double difference = probes_[a].shallow || probes_[b].shallow
                                  ? (shallow[a] - shallow[b]) * static_cast<double>(layers)
                                  : whole(a) - whole(b);
    return std::max(0.0, difference);
  };
  ForwardRates rates;
  rates.prompt_key = mixers(far_, near_) / static_cast<double>(probes_[far_].tokens * context_);
  rates.generated_key = mixers(far_step_, near_step_) / static_cast<double>(kSteps * context_);
  rates.prompt_segment = mixers(cut_, one_) / 7;
  rates.asked_row = AskedRow(times);
  for (const std::size_t probe : prompts_) {
    const auto tokens = static_cast<double>(probes_[probe].tokens);
    const double attention = rates.prompt_key * tokens * (tokens + 1) / 2;
    rates.prompt.emplace_back(probes_[probe].tokens, std::max(0.0, whole(probe) - attention));
  }
  for (const std::size_t probe : steps_) {
    const std::int64_t batch = probes_[probe].segments;
    if (rates.generated.empty() || batch > rates.generated.back().first)
      rates.generated.emplace_back(batch, whole(probe));
  }
  return rates;
}

/// Seconds of one layer more. Steps ask for every row, so they are layers and head,
/// shallow = layer + shallow share head and deep = (1 + more) layer + deep share head. Prompts ask
/// for one row, whose head is that of a single step.
double RateProbes::Layer(const ProbeTimes& times, std::size_t probe) const {
  if (times.more == 0) return 0;
  const auto more = static_cast<double>(times.more);
  const double shallow = times.shallow[probe], deep = times.deep[probe];
  if (probes_[probe].steps) {
    const double heads = times.deep_share / times.shallow_share;
    return std::max(0.0, deep - heads * shallow) / (more + 1 - heads);
  }
  const double heads = times.shallow_share - times.deep_share;
  return std::max(0.0, deep - shallow + heads * Head(times, steps_.front())) / more;
}

/// Seconds of the whole head, for the rows of one of `steps_`.
double RateProbes::Head(const ProbeTimes& times, std::size_t steps) const {
  return std::max(0.0, times.shallow[steps] - Layer(times, steps)) / times.shallow_share;
}

/// Seconds in the whole model.
double RateProbes::Whole(const ProbeTimes& times, std::size_t probe, std::int64_t layers) const {
  const double head = Head(times, probes_[probe].steps ? probe : steps_.front());
  return times.shallow[probe] + Layer(times, probe) * static_cast<double>(layers - 1) +
         (1 - times.shallow_share) * head;
}

/// A row more costs in the head and in the last layer, which computes its products for asked rows
/// alone: seen in one layer, with the part of the head that is not there from the largest step.
double RateProbes::AskedRow(const ProbeTimes& times) const {
  const double seen = std::max(0.0, times.shallow[scored_] - times.shallow[one_]) / kScored;
  const std::size_t few = steps_.front(), many = steps_.back();
  const auto rows = static_cast<double>(probes_[many].segments - probes_[few].segments);
  if (rows <= 0) return seen;
  const double head = std::max(0.0, Head(times, many) - Head(times, few)) / rows;
  return seen + (1 - times.shallow_share) * head;
}

/// The place of a probe, which may have been there already.
std::size_t RateProbes::Add(const Probe& probe) {
  const auto found = std::ranges::find(probes_, probe);
  const auto place = static_cast<std::size_t>(found - probes_.begin());
  if (found == probes_.end()) probes_.push_back(probe);
  return place;
}

}  // namespace h1bench

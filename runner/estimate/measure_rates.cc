#include "runner/estimate/measure_rates.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "runner/estimate/random_weights.h"
#include "runner/estimate/rate_probes.h"

namespace h1bench {
namespace {

/// Every probe is timed once a round and its quickest time counts: what else the machine does in
/// one of them is not in it. Generations have a round before that, whose time is left out: their
/// first step reads no state of its own yet.
constexpr int kRounds = 2;
/// Of a head on a CPU: what a quarter of a head, or next to none, takes tells what a whole one
/// does.
constexpr std::int64_t kLeastWords = 2048;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Times probes on a model of some layers.
class Prober {
 public:
  static Result<Prober> Make(const RandomWeights& source, const ModelShape& shape,
                             const BackendOptions& options) {
    Prober out;
    H1_ASSIGN_OR_RETURN(const ModelWeights weights, source.Weights(shape));
    const double start = Now();
    H1_ASSIGN_OR_RETURN(out.backend_, CreateBackend(shape, weights, options));
    out.pack_bytes_per_second_ =
        static_cast<double>(out.backend_->MemoryUsed().weights) / (Now() - start);
    return out;
  }
  double pack_bytes_per_second() const { return pack_bytes_per_second_; }

  /// In a round, 0 being the one that does not count; calls `wait` just before.
  Status Time(const Probe& probe, std::size_t place, int round, const std::function<void()>& wait) {
    if (round == 0 && !probe.steps) return Status::Ok();
    H1_ASSIGN_OR_RETURN(const std::vector<SlotId> slots, SlotsOf(probe));
    const std::vector<Segment> segments = Segments(probe, slots);
    wait();
    const double start = Now();
    H1_RETURN_IF_ERROR(backend_->Forward(segments).status());
    if (round > 0) seconds_[place].push_back(Now() - start);
    return Status::Ok();
  }

  /// Of each of `probes`; 0 of those that were not timed.
  std::vector<double> Seconds(std::size_t probes) const {
    std::vector<double> out(probes);
    for (const auto& [place, times] : seconds_) out[place] = *std::ranges::min_element(times);
    return out;
  }

 private:
  Prober() = default;

  /// Where the probe's segments go. Prompts leave the slot with the context as it is. Steps have
  /// forks of it, the same ones for all probes: their few tokens do not matter, and every sequence
  /// is memory touched for the first time.
  Result<std::vector<SlotId>> SlotsOf(const Probe& probe) {
    H1_ASSIGN_OR_RETURN(const SlotId base, Base(probe.context));
    if (!probe.steps) return std::vector<SlotId>(static_cast<std::size_t>(probe.segments), base);
    std::vector<SlotId>& forks = forks_[probe.context];
    while (std::ssize(forks) < probe.segments) {
      H1_ASSIGN_OR_RETURN(const SlotId slot, backend_->Fork(base, RoomFor(probe.context)));
      forks.push_back(slot);
    }
    return std::vector<SlotId>(forks.begin(), forks.begin() + probe.segments);
  }

  /// Tokens: one probe's prompt, or all steps.
  std::int64_t RoomFor(std::int64_t context) const {
    return context + std::max<std::int64_t>(256, backend_->options().max_batch_tokens);
  }

  std::span<const std::int32_t> Ids(std::int64_t count) {
    while (static_cast<std::int64_t>(ids_.size()) < count)
      ids_.push_back(static_cast<std::int32_t>(static_cast<std::int64_t>(ids_.size()) * 7919 %
                                               backend_->shape().vocab));
    return std::span(ids_).first(static_cast<std::size_t>(count));
  }

  /// A slot with so many tokens, made once.
  Result<SlotId> Base(std::int64_t tokens) {
    if (const auto found = bases_.find(tokens); found != bases_.end()) return found->second;
    H1_ASSIGN_OR_RETURN(const SlotId slot, backend_->Allocate(RoomFor(tokens)));
    if (tokens > 0) {
      const Segment segment{slot, Ids(tokens), {}, true};
      H1_RETURN_IF_ERROR(backend_->Forward(std::span(&segment, 1)).status());
    }
    bases_[tokens] = slot;
    return slot;
  }

  std::vector<Segment> Segments(const Probe& probe, const std::vector<SlotId>& slots) {
    std::vector<Segment> segments;
    for (std::int64_t i = 0; i < probe.segments; ++i) {
      const SlotId slot = slots[static_cast<std::size_t>(i)];
      Segment& segment = segments.emplace_back(Segment{slot, Ids(probe.tokens), {}, probe.steps});
      const std::int64_t asked = probe.steps ? 1 : i == 0 ? probe.asked : 0;
      for (std::int64_t row = probe.tokens - asked; row < probe.tokens; ++row)
        segment.rows.push_back({static_cast<std::int32_t>(row), {}, nullptr});
    }
    return segments;
  }

  std::unique_ptr<Backend> backend_;
  double pack_bytes_per_second_ = 0;
  std::vector<std::int32_t> ids_;
  std::map<std::int64_t, SlotId> bases_;                // by length
  std::map<std::int64_t, std::vector<SlotId>> forks_;   // by the length of what they go on from
  std::map<std::size_t, std::vector<double>> seconds_;  // by place, of the rounds that count
};

/// Of one copy, or the mean of all.
struct Times : ProbeTimes {
  Status status;
  double pack_bytes_per_second = 0;
};

Status TimeAll(const RandomWeights& source, const ModelShape& whole, const BackendOptions& options,
               const RateProbes& probes, const std::function<void()>& wait, Times& out) {
  const bool cpu = options.device == Device::kCpu;
  const auto words = [&](double share) {
    const auto some = static_cast<std::int64_t>(share * static_cast<double>(whole.vocab));
    return cpu ? std::min(whole.vocab, std::max(kLeastWords, some)) : whole.vocab;
  };
  const auto share_of = [&](const ModelShape& shape) {
    return static_cast<double>(shape.vocab) / static_cast<double>(whole.vocab);
  };
  const bool one_layer = whole.layers == 1;
  const ModelShape one = source.Shape(1, words(one_layer ? 1 : probes.least_shallow_share()));
  out.shallow_share = share_of(one);
  H1_ASSIGN_OR_RETURN(Prober shallow, Prober::Make(source, one, options));
  out.pack_bytes_per_second = shallow.pack_bytes_per_second();
  // Enough layers to leave a core's cache; a GPU's are short.
  out.more = std::min<std::int64_t>(cpu ? 2 : 3, whole.layers - 1);
  std::optional<Prober> deep;
  if (out.more > 0) {
    const ModelShape some = source.Shape(1 + out.more, words(0));
    out.deep_share = share_of(some);
    H1_ASSIGN_OR_RETURN(deep, Prober::Make(source, some, options));
  }
  const std::vector<Probe>& all = probes.all();
  for (int round = 0; round <= kRounds; ++round) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      H1_RETURN_IF_ERROR(shallow.Time(all[i], i, round, wait));
      if (deep && !all[i].shallow) H1_RETURN_IF_ERROR(deep->Time(all[i], i, round, wait));
    }
  }
  out.shallow = shallow.Seconds(all.size());
  if (deep) out.deep = deep->Seconds(all.size());
  return Status::Ok();
}

/// All copies at once, and their mean.
Result<Times> TimeCopies(const ModelShape& shape, const MeasureRatesOptions& options,
                         const RateProbes& probes) {
  H1_ASSIGN_OR_RETURN(const RandomWeights source, RandomWeights::Make(shape));
  const std::int64_t copies = options.backend.device == Device::kCpu ? options.workers : 1;
  std::vector<Times> all(static_cast<std::size_t>(copies));
  std::barrier barrier(copies);
  {
    std::vector<std::jthread> threads;
    for (Times& one : all)
      threads.emplace_back([&] {
        const auto wait = [&] { barrier.arrive_and_wait(); };
        one.status = TimeAll(source, shape, options.backend, probes, wait, one);
        barrier.arrive_and_drop();
      });
  }
  for (const Times& one : all) H1_RETURN_IF_ERROR(one.status);
  Times mean = all.front();
  const auto average = [&](auto member) {
    for (std::size_t i = 0; i < (mean.*member).size(); ++i) {
      double sum = 0;
      for (const Times& one : all) sum += (one.*member)[i];
      (mean.*member)[i] = sum / static_cast<double>(copies);
    }
  };
  average(&Times::shallow);
  average(&Times::deep);
  return mean;
}

}  // namespace

Result<ForwardRates> MeasureForwardRates(const ModelShape& shape,
                                         const MeasureRatesOptions& options) {
  const RateProbes probes(options.backend.device == Device::kCpu, options.backend.max_batch_tokens,
                          options.max_batch);
  H1_ASSIGN_OR_RETURN(const Times times, TimeCopies(shape, options, probes));
  ForwardRates rates = probes.Rates(times, shape.layers);
  rates.pack_bytes_per_second = times.pack_bytes_per_second;
  if (options.backend.device == Device::kCpu) {
    // Keys of a few steps drown in what else varies, and forks have the same ones in a cache. They
    // come no faster than the weights in a step of one sequence.
    constexpr std::int64_t kTokens = 4096;
    const MemoryPlan plan = PlanMemory(shape, options.backend, 1, kTokens);
    const double key = static_cast<double>(plan.kv) / kTokens / static_cast<double>(plan.weights);
    rates.generated_key = std::max(rates.generated_key, key * rates.generated.front().second);
  }
  return rates;
}

}  // namespace h1bench

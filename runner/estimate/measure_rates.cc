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
/// one of them is not in it. (The middle of three fell by a quarter when two rounds of the shallow
/// model were disturbed.) A generation's first step reads no state of its own yet and is left out.
constexpr int kRounds = 3;

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

  /// Once more; calls `wait` just before.
  Status Time(const Probe& probe, std::size_t place, int round, const std::function<void()>& wait) {
    H1_ASSIGN_OR_RETURN(const std::vector<SlotId>* const slots, SlotsOf(probe, place));
    const std::vector<Segment> segments = Segments(probe, *slots);
    wait();
    const double start = Now();
    H1_RETURN_IF_ERROR(backend_->Forward(segments).status());
    if (round > 0 || !probe.steps) seconds_[place].push_back(Now() - start);
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

  /// Forked once from a slot with the context; steps go on in theirs.
  Result<const std::vector<SlotId>*> SlotsOf(const Probe& probe, std::size_t place) {
    std::vector<SlotId>& slots = slots_[place];
    if (!slots.empty()) return &slots;
    H1_ASSIGN_OR_RETURN(const SlotId base, Base(probe.context));
    for (std::int64_t i = 0; i < (probe.steps ? probe.segments : 1); ++i) {
      H1_ASSIGN_OR_RETURN(const SlotId slot,
                          backend_->Fork(base, probe.context + probe.tokens * kRounds + 1));
      slots.push_back(slot);
    }
    return &slots;
  }

  std::span<const std::int32_t> Ids(std::int64_t count) {
    while (static_cast<std::int64_t>(ids_.size()) < count)
      ids_.push_back(static_cast<std::int32_t>(static_cast<std::int64_t>(ids_.size()) * 7919 %
                                               backend_->shape().vocab));
    return std::span(ids_).first(static_cast<std::size_t>(count));
  }

  /// A slot with so many tokens, made once and only ever forked.
  Result<SlotId> Base(std::int64_t tokens) {
    if (const auto found = bases_.find(tokens); found != bases_.end()) return found->second;
    H1_ASSIGN_OR_RETURN(const SlotId slot, backend_->Allocate(tokens + 1));
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
      const SlotId slot = slots[static_cast<std::size_t>(probe.steps ? i : 0)];
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
  std::map<std::size_t, std::vector<SlotId>> slots_;    // by place of the probe
  std::map<std::size_t, std::vector<double>> seconds_;  // by place, of the rounds that count
};

/// Of one copy, or the mean of all.
struct Times : ProbeTimes {
  Status status;
  double pack_bytes_per_second = 0;
};

Status TimeAll(const RandomWeights& source, const ModelShape& whole, const BackendOptions& options,
               const std::vector<Probe>& probes, const std::function<void()>& wait, Times& out) {
  H1_ASSIGN_OR_RETURN(Prober shallow, Prober::Make(source, source.Shape(1, whole.vocab), options));
  out.pack_bytes_per_second = shallow.pack_bytes_per_second();
  // Enough layers to leave a core's cache; a GPU's are short.
  const bool cpu = options.device == Device::kCpu;
  out.more = std::min<std::int64_t>(cpu ? 2 : 3, whole.layers - 1);
  std::optional<Prober> deep;
  if (out.more > 0) {
    const ModelShape shape = source.Shape(1 + out.more, cpu ? 2048 : whole.vocab);
    out.share = static_cast<double>(shape.vocab) / static_cast<double>(whole.vocab);
    H1_ASSIGN_OR_RETURN(deep, Prober::Make(source, shape, options));
  }
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < probes.size(); ++i) {
      H1_RETURN_IF_ERROR(shallow.Time(probes[i], i, round, wait));
      if (deep && !probes[i].shallow) H1_RETURN_IF_ERROR(deep->Time(probes[i], i, round, wait));
    }
  }
  out.shallow = shallow.Seconds(probes.size());
  if (deep) out.deep = deep->Seconds(probes.size());
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
        one.status = TimeAll(source, shape, options.backend, probes.all(), wait, one);
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
  return rates;
}

}  // namespace h1bench

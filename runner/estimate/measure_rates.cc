#include "runner/estimate/measure_rates.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "runner/checkpoint/layout.h"

namespace h1bench {
namespace {

constexpr std::int64_t kMoreLayers = 3;  // of the deeper model; enough to leave a core's cache
constexpr std::int64_t kLargestSource = std::int64_t{2} << 30;  // bytes of one tensor
constexpr int kRepeats = 2;

/// One Forward to time: `segments` of `tokens` each behind `context` tokens, one row asked in all
/// (`asked` of the first), or one in each segment where they are steps of generations.
struct Probe {
  std::int64_t segments = 1, tokens = 1, context = 0, asked = 1;
  bool steps = false;
};

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Weights of `layers` layers that all lie in the same random bytes.
class Source {
 public:
  static Result<Source> Make(const ModelShape& shape, std::int64_t layers) {
    Source out;
    out.shape = shape;
    out.shape.layers = layers;
    out.shape.max_positions = 0;  // no limit: small models are asked for more than they admit
    std::size_t most = 0;
    const auto measure = [&](const auto&, const auto& dims, TensorView& view) {
      std::size_t elements = 1;
      for (const std::int64_t dimension : dims) elements *= static_cast<std::size_t>(dimension);
      view = {DType::kBF16, dims, {}};
      most = std::max(most, elements * 2);
      return Status::Ok();
    };
    H1_RETURN_IF_ERROR(VisitTensors(out.shape, out.weights, measure));
    if (static_cast<std::int64_t>(most) > kLargestSource)
      return Unavailable("a tensor of {} bytes is too big to measure with", most);
    out.Fill(most);
    ModelWeights weights;
    H1_RETURN_IF_ERROR(
        VisitTensors(out.shape, weights, [&](const auto&, const auto& dims, TensorView& view) {
          std::size_t bytes = 2;
          for (const std::int64_t dimension : dims) bytes *= static_cast<std::size_t>(dimension);
          view = {DType::kBF16, dims, std::span(out.bytes_.get(), bytes)};
          return Status::Ok();
        }));
    if (out.shape.tied_embeddings) weights.lm_head = weights.embedding;
    out.weights = std::move(weights);
    return out;
  }

  ModelShape shape;
  ModelWeights weights;

 private:
  /// Values of 0.004 to 0.03 of either sign: numbers of a model, no infinities on the way.
  void Fill(std::size_t bytes) {
    constexpr std::size_t kBlock = 1 << 20;
    bytes_ = std::make_unique<std::byte[]>(bytes);
    std::uint32_t random = 12345;
    for (std::size_t i = 0; i + 1 < std::min(bytes, kBlock); i += 2) {
      random = random * 1664525U + 1013904223U;
      const auto value =
          static_cast<std::uint16_t>((random >> 16 & 0x8000U) | (0x3B80U + (random >> 23)));
      std::memcpy(bytes_.get() + i, &value, 2);
    }
    for (std::size_t done = kBlock; done < bytes; done += kBlock)
      std::memcpy(bytes_.get() + done, bytes_.get(), std::min(kBlock, bytes - done));
  }

  std::unique_ptr<std::byte[]> bytes_;
};

/// Times probes on one backend.
class Prober {
 public:
  Prober(Backend& backend, std::function<void()> wait)
      : backend_(backend), wait_(std::move(wait)) {}

  /// The quickest of a few after one that warms up: what else the machine does is not in it.
  Result<double> Time(const Probe& probe) {
    std::vector<SlotId> slots;
    const std::int64_t distinct = probe.steps ? probe.segments : 1;
    H1_ASSIGN_OR_RETURN(const SlotId base, Base(probe.context));
    for (std::int64_t i = 0; i < distinct; ++i) {
      H1_ASSIGN_OR_RETURN(const SlotId slot, backend_.Fork(base, Room(probe)));
      slots.push_back(slot);
    }
    std::vector<double> seconds;
    for (int i = 0; i <= kRepeats; ++i) {
      const std::vector<Segment> segments = Segments(probe, slots);
      wait_();
      const double start = Now();
      H1_RETURN_IF_ERROR(backend_.Forward(segments).status());
      if (i > 0) seconds.push_back(Now() - start);
    }
    for (const SlotId slot : slots) backend_.Release(slot);
    return *std::ranges::min_element(seconds);
  }

 private:
  static std::int64_t Room(const Probe& probe) {
    return probe.context + probe.tokens * (kRepeats + 1) + 1;
  }

  std::span<const std::int32_t> Ids(std::int64_t count) {
    while (static_cast<std::int64_t>(ids_.size()) < count)
      ids_.push_back(static_cast<std::int32_t>(static_cast<std::int64_t>(ids_.size()) * 7919 %
                                               backend_.shape().vocab));
    return std::span(ids_).first(static_cast<std::size_t>(count));
  }

  /// A slot with so many tokens, made once and only ever forked.
  Result<SlotId> Base(std::int64_t tokens) {
    if (const auto found = bases_.find(tokens); found != bases_.end()) return found->second;
    H1_ASSIGN_OR_RETURN(const SlotId slot, backend_.Allocate(tokens + 1));
    if (tokens > 0) {
      const Segment segment{slot, Ids(tokens), {}, true};
      H1_RETURN_IF_ERROR(backend_.Forward(std::span(&segment, 1)).status());
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

  Backend& backend_;
  std::function<void()> wait_;
  std::vector<std::int32_t> ids_;
  std::map<std::int64_t, SlotId> bases_;  // by length
};

/// The probes, and what their times mean.
class Series {
 public:
  explicit Series(const MeasureRatesOptions& options) {
    const std::int64_t most = options.backend.max_batch_tokens;
    for (const std::int64_t tokens : {1, 64, 256, 2048, 8192}) {
      const bool gpu_only = tokens > 256;  // a CPU's rate is the same from 256 on
      if (tokens <= most && (!gpu_only || options.backend.device != Device::kCpu))
        prompts_.push_back(Add({1, tokens, 0, 1, false}));
    }
    for (std::int64_t batch = 1; batch < 4 * options.max_batch; batch *= 4)
      steps_.push_back(Add({std::min({batch, options.max_batch, most}), 1, 0, 1, true}));
    context_ = std::min<std::int64_t>(512, most);
    one_ = Add({1, 64, 64, 1, false});
    far_ = Add({1, 64, context_, 1, false});
    cut_ = Add({8, 8, 64, 1, false});
    scored_ = Add({1, 64, 64, 64, false});
    near_step_ = Add({8, 1, 16, 1, true});
    far_step_ = Add({8, 1, context_, 1, true});
  }

  const std::vector<Probe>& probes() const { return probes_; }

  ForwardRates Rates(const std::vector<double>& seconds) const {
    const auto difference = [&](std::size_t a, std::size_t b) {
      return std::max(0.0, seconds[a] - seconds[b]);
    };
    ForwardRates rates;
    const auto keys = static_cast<double>(64 * (context_ - 64));
    rates.prompt_key = keys > 0 ? difference(far_, one_) / keys : 0;
    rates.generated_key =
        difference(far_step_, near_step_) / static_cast<double>(8 * (context_ - 16));
    rates.prompt_segment = difference(cut_, one_) / 7;
    rates.asked_row = difference(scored_, one_) / 63;
    for (const std::size_t probe : prompts_) {
      const auto tokens = static_cast<double>(probes_[probe].tokens);
      const double attention = rates.prompt_key * tokens * (tokens + 1) / 2;
      rates.prompt.emplace_back(probes_[probe].tokens, std::max(0.0, seconds[probe] - attention));
    }
    for (const std::size_t probe : steps_) {
      const std::int64_t batch = probes_[probe].segments;
      if (rates.generated.empty() || batch > rates.generated.back().first)
        rates.generated.emplace_back(batch, seconds[probe]);
    }
    return rates;
  }

 private:
  std::size_t Add(const Probe& probe) {
    probes_.push_back(probe);
    return probes_.size() - 1;
  }

  std::vector<Probe> probes_;
  std::vector<std::size_t> prompts_, steps_;  // places in probes_
  std::int64_t context_ = 0;
  std::size_t one_ = 0, far_ = 0, cut_ = 0, scored_ = 0, near_step_ = 0, far_step_ = 0;
};

struct DepthTimes {
  Status status;
  std::vector<double> seconds;  // by probe
  double pack_bytes_per_second = 0;
};

DepthTimes TimeDepth(const Source& source, const BackendOptions& options,
                     const std::vector<Probe>& probes, std::barrier<>& barrier) {
  DepthTimes out;
  const double start = Now();
  const Result<std::unique_ptr<Backend>> backend =
      CreateBackend(source.shape, source.weights, options);
  out.status = backend.status();
  if (out.status.ok())
    out.pack_bytes_per_second =
        static_cast<double>((*backend)->MemoryUsed().weights) / (Now() - start);
  std::optional<Prober> prober;
  if (out.status.ok()) prober.emplace(**backend, [&] { barrier.arrive_and_wait(); });
  for (const Probe& probe : probes) {
    Result<double> seconds = out.status.ok() ? prober->Time(probe) : out.status;
    if (!seconds.ok()) {
      out.status = seconds.status();
      break;
    }
    out.seconds.push_back(*seconds);
  }
  barrier.arrive_and_drop();
  return out;
}

/// All copies at once, and their mean.
Result<DepthTimes> TimeDepth(const ModelShape& shape, std::int64_t layers,
                             const MeasureRatesOptions& options, const Series& series) {
  H1_ASSIGN_OR_RETURN(const Source source, Source::Make(shape, layers));
  const std::int64_t copies = options.backend.device == Device::kCpu ? options.workers : 1;
  std::vector<DepthTimes> all(static_cast<std::size_t>(copies));
  std::barrier barrier(copies);
  {
    std::vector<std::jthread> threads;
    for (DepthTimes& one : all)
      threads.emplace_back(
          [&] { one = TimeDepth(source, options.backend, series.probes(), barrier); });
  }
  DepthTimes mean = all.front();
  H1_RETURN_IF_ERROR(mean.status);
  for (std::size_t i = 1; i < all.size(); ++i) {
    H1_RETURN_IF_ERROR(all[i].status);
    for (std::size_t probe = 0; probe < mean.seconds.size(); ++probe)
      mean.seconds[probe] += all[i].seconds[probe];
    mean.pack_bytes_per_second += all[i].pack_bytes_per_second;
  }
  for (double& seconds : mean.seconds) seconds /= static_cast<double>(copies);
  mean.pack_bytes_per_second /= static_cast<double>(copies);
  return mean;
}

}  // namespace

Result<ForwardRates> MeasureForwardRates(const ModelShape& shape,
                                         const MeasureRatesOptions& options) {
  const Series series(options);
  const std::int64_t more = std::min(kMoreLayers, shape.layers - 1);
  H1_ASSIGN_OR_RETURN(DepthTimes times, TimeDepth(shape, 1, options, series));
  if (more > 0) {
    H1_ASSIGN_OR_RETURN(const DepthTimes deep, TimeDepth(shape, 1 + more, options, series));
    for (std::size_t i = 0; i < times.seconds.size(); ++i) {
      const double layer =
          std::max(0.0, deep.seconds[i] - times.seconds[i]) / static_cast<double>(more);
      times.seconds[i] += layer * static_cast<double>(shape.layers - 1);
    }
    times.pack_bytes_per_second = deep.pack_bytes_per_second;
  }
  ForwardRates rates = series.Rates(times.seconds);
  rates.pack_bytes_per_second = times.pack_bytes_per_second;
  return rates;
}

}  // namespace h1bench

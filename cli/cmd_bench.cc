#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>

#include "base/clock.h"
#include "base/json.h"
#include "cli/bench_cost.h"
#include "cli/command.h"
#include "cli/run_options.h"
#include "harness/store/store.h"
#include "kernels/backend.h"
#include "kernels/peak.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/shapes.h"
#include "runner/checkpoint/synthesize.h"
#include "runner/worker/telemetry.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string model, shape, precision = "bf16", device = "auto", database;
  std::int64_t prefill = 512, prompts = 1, decode = 128;
  std::vector<std::int64_t> batches = {1, 8, 32};
  int threads = 0, repeat = 3;
  bool json = false, products = false;
};

/// One line of the table: the same work several times.
struct Measurement {
  std::string phase;  // "prefill", "decode"
  std::int64_t batch = 1;
  double tokens = 0;  // per repetition
  ForwardCost cost;   // per repetition
  std::vector<double> seconds;
  std::int64_t gpu_tokens = 0;  // computed while the GPU was watched
  GpuUsage gpu{};               // watched over all repetitions

  /// Absent without NVML and below a second: energy counters tick some ten times a second.
  std::optional<double> JoulesPerToken() const {
    if (!gpu.joules || gpu.seconds < 1 || gpu_tokens == 0) return {};
    return *gpu.joules / static_cast<double>(gpu_tokens);
  }
  /// Tokens a second at the slowest, middle and fastest repetition.
  double Rate(double quantile) const {
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    const auto last = static_cast<double>(sorted.size() - 1);
    return tokens / sorted[static_cast<std::size_t>(quantile * last + 0.5)];
  }
  double Gflops() const { return cost.flops / tokens * Rate(0.5) / 1e9; }
  double Gigabytes() const { return cost.bytes / tokens * Rate(0.5) / 1e9; }
};

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class Bench {
 public:
  /// gpu: null where nobody watches one.
  Bench(Backend& backend, const Options& options, Telemetry* gpu)
      : backend_(backend), options_(options), gpu_(gpu) {
    for (std::int64_t i = 0; i < options.prefill; ++i) {
      ids_.push_back(static_cast<std::int32_t>((i * 7919 + 13) % backend.shape().vocab));
    }
  }

  Result<std::vector<Measurement>> Run() {
    std::vector<Measurement> out;
    H1_ASSIGN_OR_RETURN(Measurement prefill, Prefill());
    out.push_back(std::move(prefill));
    for (const std::int64_t batch : options_.batches) {
      H1_ASSIGN_OR_RETURN(Measurement decode, Decode(batch));
      out.push_back(std::move(decode));
    }
    return out;
  }

 private:
  void Watch() {
    if (gpu_ == nullptr) return;
    gpu_->Reset();
    gpu_->Resume();
  }
  void Unwatch(Measurement& out, double tokens) {
    if (gpu_ == nullptr) return;
    gpu_->Pause();
    out.gpu = gpu_->Usage();
    out.gpu_tokens = static_cast<std::int64_t>(tokens);
  }

  /// A slot with the prompt in it, forwarded in pieces of max_batch_tokens.
  Result<SlotId> Prompt() {
    H1_ASSIGN_OR_RETURN(const SlotId slot,
                        backend_.Allocate(options_.prefill + options_.decode + 1));
    const auto piece = static_cast<std::size_t>(backend_.options().max_batch_tokens);
    for (std::size_t first = 0; first < ids_.size(); first += piece) {
      const std::size_t count = std::min(piece, ids_.size() - first);
      Segment segment{slot, std::span(ids_).subspan(first, count), {}, true};
      if (first + count == ids_.size())
        segment.rows = {{static_cast<std::int32_t>(count - 1), {}, nullptr}};
      H1_RETURN_IF_ERROR(backend_.Forward(std::span(&segment, 1)).status());
    }
    return slot;
  }

  /// Several prompts side by side in one Forward, scored at their last row and forgotten: what a
  /// benchmark of multiple choice does.
  Status PackedPrompts(SlotId slot) {
    std::vector<Segment> segments(static_cast<std::size_t>(options_.prompts));
    for (Segment& segment : segments)
      segment = {
          slot, ids_, {{static_cast<std::int32_t>(options_.prefill - 1), {}, nullptr}}, false};
    return backend_.Forward(segments).status();
  }

  Result<Measurement> Prefill() {
    const std::int64_t prompts = options_.prompts;
    Measurement out{"prefill", prompts, static_cast<double>(options_.prefill * prompts), {}, {}};
    out.cost = CostOfForward(backend_.shape(), backend_.options(), prompts, options_.prefill, 0);
    H1_ASSIGN_OR_RETURN(const SlotId empty, backend_.Allocate(options_.prefill + 1));
    for (int i = 0; i <= options_.repeat; ++i) {
      if (i == 1) Watch();
      const double start = Now();
      if (prompts > 1) {
        H1_RETURN_IF_ERROR(PackedPrompts(empty));
      } else {
        H1_ASSIGN_OR_RETURN(const SlotId slot, Prompt());
        backend_.Release(slot);
      }
      if (i > 0) out.seconds.push_back(Now() - start);  // the first one warms up
    }
    Unwatch(out, out.tokens * options_.repeat);
    backend_.Release(empty);
    return out;
  }

  /// `batch` slots with a prompt each. On a GPU each prompt is another: forks would share keys and
  /// states, which the card then reads from its cache. Elsewhere they are forks of one.
  Result<std::vector<SlotId>> Prompts(std::int64_t batch) {
    std::vector<SlotId> slots;
    const std::int64_t room = options_.prefill + options_.decode + 1;
    if (backend_.options().device != Device::kCuda) {
      H1_ASSIGN_OR_RETURN(const SlotId prompt, Prompt());
      slots.push_back(prompt);
      while (static_cast<std::int64_t>(slots.size()) < batch) {
        H1_ASSIGN_OR_RETURN(const SlotId slot, backend_.Fork(prompt, room));
        slots.push_back(slot);
      }
      return slots;
    }
    const std::vector<std::int32_t> ids = ids_;
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::size_t i = 0; i < ids_.size(); ++i)
        ids_[i] = static_cast<std::int32_t>((ids[i] + b * 101) % backend_.shape().vocab);
      H1_ASSIGN_OR_RETURN(const SlotId slot, Prompt());
      slots.push_back(slot);
    }
    ids_ = ids;
    return slots;
  }

  /// One token for every slot; the next ids are the argmax of these.
  Status Step(const std::vector<SlotId>& slots, std::vector<std::int32_t>& next) {
    std::vector<Segment> segments;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      segments.push_back({slots[i], std::span(next).subspan(i, 1), {{0, {}, nullptr}}, true});
    }
    H1_ASSIGN_OR_RETURN(const auto results, backend_.Forward(segments));
    for (std::size_t i = 0; i < slots.size(); ++i) next[i] = results[i].argmax;
    return Status::Ok();
  }

  Result<Measurement> Decode(std::int64_t batch) {
    Measurement out{"decode", batch, static_cast<double>(batch * options_.decode), {}, {}};
    for (std::int64_t i = 0; i < options_.decode; ++i) {
      const ForwardCost step =
          CostOfForward(backend_.shape(), backend_.options(), batch, 1, options_.prefill + 1 + i);
      out.cost.flops += step.flops;
      out.cost.bytes += step.bytes;
    }
    if (gpu_ != nullptr) gpu_->Reset();
    for (int i = 0; i < options_.repeat; ++i) {
      H1_ASSIGN_OR_RETURN(const std::vector<SlotId> slots, Prompts(batch));
      std::vector<std::int32_t> next;
      for (std::int64_t b = 0; b < batch; ++b)
        next.push_back(static_cast<std::int32_t>(b * 31 % backend_.shape().vocab));
      if (gpu_ != nullptr) gpu_->Resume();
      H1_RETURN_IF_ERROR(Step(slots, next));  // not timed: forks get their own state here
      const double start = Now();
      for (std::int64_t step = 0; step < options_.decode; ++step)
        H1_RETURN_IF_ERROR(Step(slots, next));
      out.seconds.push_back(Now() - start);
      if (gpu_ != nullptr) gpu_->Pause();
      for (const SlotId slot : slots) backend_.Release(slot);
    }
    // With the step that is not timed: it used its share of the energy.
    Unwatch(out, static_cast<double>(batch * (options_.decode + 1) * options_.repeat));
    return out;
  }

  Backend& backend_;
  const Options& options_;
  Telemetry* gpu_;
  std::vector<std::int32_t> ids_;
};

Json ToJson(const Options& options, const Backend& backend, const MachinePeak& peak,
            const std::vector<Measurement>& rows, const std::string& gpu_name) {
  Json out;
  out.Set("model", options.model.empty() ? options.shape : options.model);
  out.Set("precision", PrecisionName(backend.options().precision));
  out.Set("identity", backend.Identity());
  out.Set("threads", options.threads);
  out.Set("peak_method", peak.method);
  out.Set("prefill", options.prefill);
  out.Set("decode", options.decode);
  out.Set("peak_gflops", peak.gflops);
  out.Set("peak_gigabytes_per_second", peak.gigabytes_per_second);
  Json list{Json::Array{}};
  for (const Measurement& row : rows) {
    Json item;
    item.Set("phase", row.phase).Set("batch", row.batch);
    item.Set("tokens_per_second_min", row.Rate(0)).Set("tokens_per_second", row.Rate(0.5));
    item.Set("tokens_per_second_max", row.Rate(1))
        .Set("repeats", static_cast<std::int64_t>(row.seconds.size()));
    item.Set("gflops", row.Gflops()).Set("gigabytes_per_second", row.Gigabytes());
    item.Set("share_of_peak_gflops", row.Gflops() / peak.gflops);
    item.Set("share_of_peak_bandwidth", row.Gigabytes() / peak.gigabytes_per_second);
    if (row.JoulesPerToken()) {
      item.Set("joules_per_token", *row.JoulesPerToken());
      item.Set("gpu", ToJson(gpu_name, row.gpu));
    }
    list.Push(std::move(item));
  }
  out.Set("rows", std::move(list));
  return out;
}

/// Prefill and each batch of decode apart; nothing where no energy is known.
void PrintEnergy(const std::vector<Measurement>& rows) {
  bool head = false;
  for (const Measurement& row : rows) {
    if (!row.JoulesPerToken()) continue;
    if (!head)
      fmt::print("\nenergy of the whole card\n{:<8} {:>5} {:>10} {:>12} {:>8} {:>8}\n", "phase",
                 "batch", "joules", "J/token", "mean W", "peak W");
    head = true;
    fmt::print("{:<8} {:>5} {:>10.1f} {:>12.5f} {:>8.0f} {:>8}{}\n", row.phase, row.batch,
               *row.gpu.joules, *row.JoulesPerToken(), row.gpu.mean_watts.value_or(0),
               row.gpu.peak_watts ? fmt::format("{:.0f}", *row.gpu.peak_watts) : "n/a",
               row.gpu.foreign.empty() ? "" : "  other processes computed on it too");
  }
}

void PrintTable(const Options& options, const Backend& backend, const MachinePeak& peak,
                const std::vector<Measurement>& rows) {
  fmt::print("{} {}, prompt {} tokens, {} steps of decode, median of {} (min to max)\n",
             options.model.empty() ? options.shape : options.model,
             PrecisionName(backend.options().precision), options.prefill, options.decode,
             options.repeat);
  fmt::print("{}\nthis machine: {:.0f} GFLOP/s in matrix products, {:.1f} GB/s from memory\n\n",
             backend.Identity(), peak.gflops, peak.gigabytes_per_second);
  fmt::print("{:<8} {:>5} {:>10} {:>19} {:>9} {:>7} {:>7} {:>7}\n", "phase", "batch", "tokens/s",
             "min to max", "GFLOP/s", "of peak", "GB/s", "of peak");
  for (const Measurement& row : rows) {
    fmt::print("{:<8} {:>5} {:>10.1f} {:>19} {:>9.1f} {:>6.0f}% {:>7.1f} {:>6.0f}%\n", row.phase,
               row.batch, row.Rate(0.5), fmt::format("{:.1f} to {:.1f}", row.Rate(0), row.Rate(1)),
               row.Gflops(), 100 * row.Gflops() / peak.gflops, row.Gigabytes(),
               100 * row.Gigabytes() / peak.gigabytes_per_second);
  }
  PrintEnergy(rows);
}

/// The backend of a checkpoint, or of random weights in memory; the source is gone when this
/// returns.
Result<std::unique_ptr<Backend>> Load(const Options& options) {
  BackendOptions backend_options;
  H1_ASSIGN_OR_RETURN(backend_options.precision, ParsePrecision(options.precision));
  H1_ASSIGN_OR_RETURN(backend_options.device, ParseDevice(ResolveEngine(options.device)));
  backend_options.threads = options.threads;
  backend_options.max_batch_tokens = std::max<std::int64_t>(
      *std::max_element(options.batches.begin(), options.batches.end()),
      options.prompts > 1
          ? options.prefill * options.prompts
          : std::min<std::int64_t>(options.prefill,
                                   backend_options.device == Device::kCpu ? 2048 : 8192));
  backend_options.max_batch_rows = backend_options.max_batch_tokens;
  if (!options.model.empty()) {
    H1_ASSIGN_OR_RETURN(const Checkpoint model, Checkpoint::Open(options.model));
    return CreateBackend(model.config().shape, model.weights(), backend_options);
  }
  H1_ASSIGN_OR_RETURN(const ReleasedShape released, FindReleasedShape(options.shape));
  H1_ASSIGN_OR_RETURN(const SyntheticModel model, SynthesizeInMemory(released.shape, 1));
  return CreateBackend(model.shape, model.weights, backend_options);
}

/// The products alone, beside the library's.
Status RunProducts(const Options& options) {
  H1_ASSIGN_OR_RETURN(const Device device, ParseDevice(ResolveEngine(options.device)));
  H1_ASSIGN_OR_RETURN(const ReleasedShape released, FindReleasedShape(options.shape));
  const std::int64_t rows = options.prefill * options.prompts;
  H1_ASSIGN_OR_RETURN(const auto rates, MeasureProducts(device, released.shape, rows));
  Json list{Json::Array{}};
  for (const ProductRate& rate : rates) {
    Json item;
    item.Set("name", rate.name).Set("n", rate.n).Set("k", rate.k).Set("rows", rate.rows);
    item.Set("gflops", rate.gflops).Set("library_gflops", rate.library_gflops);
    item.Set("library_bf16_gflops", rate.library_bf16_gflops);
    list.Push(std::move(item));
    if (!options.json) {
      fmt::print(
          "{:<8} {:>6} x {:<6} rows {:<6} {:>8.1f} TFLOP/s, library {:>8.1f}, ratio {:.2f} "
          "(library "
          "with bf16 results {:.1f})\n",
          rate.name, rate.n, rate.k, rate.rows, rate.gflops / 1e3, rate.library_gflops / 1e3,
          rate.library_gflops > 0 ? rate.gflops / rate.library_gflops : 0.0,
          rate.library_bf16_gflops / 1e3);
    }
  }
  if (options.json) std::cout << WriteJson(list, 2) << '\n';
  return Status::Ok();
}

Status RunBench(const Options& options) {
  if (options.products) return RunProducts(options);
  if (options.model.empty() == options.shape.empty()) {
    return InvalidArgument("bench: give either --model DIR or --shape NAME");
  }
  H1_ASSIGN_OR_RETURN(const Precision precision, ParsePrecision(options.precision));
  H1_ASSIGN_OR_RETURN(const Device device, ParseDevice(ResolveEngine(options.device)));
  const auto gpu = device == Device::kCuda ? Telemetry::Open() : nullptr;
  H1_ASSIGN_OR_RETURN(const MachinePeak peak, MeasurePeak(device, precision, options.threads));
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend, Load(options));
  H1_ASSIGN_OR_RETURN(const std::vector<Measurement> rows,
                      Bench(*backend, options, gpu.get()).Run());
  const Json json = ToJson(options, *backend, peak, rows, gpu ? gpu->Name() : "");
  if (!options.database.empty()) {
    H1_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store,
                        Store::Open(options.database, Store::Mode::kReadWrite));
    H1_RETURN_IF_ERROR(store->RecordBench(Clock::Real().WallUnixMillis(), WriteJson(json)));
  }
  if (options.json) {
    std::cout << WriteJson(json, 2) << '\n';
  } else {
    PrintTable(options, *backend, peak, rows);
  }
  return Status::Ok();
}

Command::Run SetUp(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  app.add_option("--model", o->model, "A model folder");
  app.add_option("--shape", o->shape, "Random weights of a released shape instead: 0.5B, 1.5B, …");
  app.add_option("--prefill", o->prefill, "Tokens of the prompt")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--prompts", o->prompts, "Prompts side by side in one forward pass of prefill")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  app.add_option("--decode", o->decode, "Steps of generation")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--batch", o->batches, "Sequences generated together, a list")
      ->delimiter(',')
      ->check(CLI::Range(1, 2048))
      ->capture_default_str();
  app.add_option("--precision", o->precision, "bf16 or fp32")->capture_default_str();
  app.add_option("--device", o->device, "auto (a GPU where there is one), cpu, cuda")
      ->capture_default_str();
  app.add_option("--threads", o->threads, "Threads; 0: all cores")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--repeat", o->repeat, "Repetitions of every measurement")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_flag("--products", o->products,
               "Only the matrix products of --shape for --prefill times --prompts rows, beside "
               "cuBLASLt's fastest (GPU)");
  app.add_flag("--json", o->json, "Print JSON instead of a table");
  app.add_option("--db", o->database, "Also keep the result in this database");
  app.footer(
      "The device's own limits are measured first: multiply-adds of the precision on registers "
      "and reading memory (CPU), or a big matrix product and copying memory (GPU).\n"
      "Examples:\n"
      "  h1bench bench --model Falcon-H1-0.5B-Base\n"
      "  h1bench bench --shape 0.5B --prefill 512 --decode 128 --batch 1,8,32 --json");
  return [o] { return RunBench(*o); };
}

const Command kBench("bench", "Measure prefill and decode throughput", SetUp);

}  // namespace
}  // namespace h1bench::cli

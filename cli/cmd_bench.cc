#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/bench_measure.h"
#include "cli/command.h"
#include "cli/run_options.h"
#include "harness/store/store.h"
#include "kernels/backend.h"
#include "kernels/peak.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/shapes.h"
#include "runner/checkpoint/synthesize.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string model, shape, precision = "bf16", device = "auto", database;
  BenchWork work;
  int threads = 0;
  bool json = false, products = false;
};

Json ToJson(const Options& options, const Backend& backend, const MachinePeak& peak,
            const std::vector<Measurement>& rows, const std::string& gpu_name,
            const std::string& kernels) {
  Json out;
  out.Set("model", options.model.empty() ? options.shape : options.model);
  out.Set("precision", PrecisionName(backend.options().precision));
  out.Set("identity", backend.Identity());
  if (!kernels.empty()) out.Set("kernels", kernels);
  out.Set("threads", options.threads);
  out.Set("peak_method", peak.method);
  out.Set("prefill", options.work.prefill);
  out.Set("decode", options.work.decode);
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
    const auto share = [](double value, double of) { return of > 0 ? Json(value / of) : Json(); };
    item.Set("share_of_peak_gflops", share(row.Gflops(), peak.gflops));
    item.Set("share_of_peak_bandwidth", share(row.Gigabytes(), peak.gigabytes_per_second));
    const reports::Percentiles waits = row.Waits();
    Json times;
    times.Set("n", waits.n).Set("p50", waits.p50).Set("p95", waits.p95).Set("p99", waits.p99);
    item.Set(row.phase == "prefill" ? "ttft_seconds" : "inter_token_seconds", times);
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

/// "57 %" of a ceiling that was measured.
std::string Share(double value, double of) {
  return of > 0 ? fmt::format("{:.0f}%", 100 * value / of) : "n/a";
}

/// Rates in GFLOP/s, or in TFLOP/s where the machine's own limit is of that size.
struct FlopUnit {
  const char* name;
  double scale;
  explicit FlopUnit(const MachinePeak& peak)
      : name(peak.gflops >= 1e4 ? "TFLOP/s" : "GFLOP/s"), scale(peak.gflops >= 1e4 ? 1e-3 : 1) {}
};

/// How long a reader waits: for a prompt's first token, and from token to token.
void PrintWaits(const Options& options, const std::vector<Measurement>& rows) {
  fmt::print("\nwaits, milliseconds                {:>9} {:>9} {:>9}\n", "p50", "p95", "p99");
  for (const Measurement& row : rows) {
    const reports::Percentiles waits = row.Waits();
    const std::string what =
        row.phase == "decode" ? fmt::format("between tokens, {} together", row.batch)
        : row.batch == 1      ? fmt::format("first token, {} of prompt", options.work.prefill)
                         : fmt::format("first tokens, {} x {}", row.batch, options.work.prefill);
    fmt::print("{:<34} {:>9.2f} {:>9.2f} {:>9.2f}\n", what, waits.p50 * 1e3, waits.p95 * 1e3,
               waits.p99 * 1e3);
  }
}

void PrintTable(const Options& options, const Backend& backend, const MachinePeak& peak,
                const std::vector<Measurement>& rows, const std::string& kernels) {
  const FlopUnit unit(peak);
  fmt::print("{} {}, prompt {} tokens, {} steps of decode, median of {} (min to max)\n",
             options.model.empty() ? options.shape : options.model,
             PrecisionName(backend.options().precision), options.work.prefill, options.work.decode,
             options.work.repeat);
  fmt::print("{}\n{}this machine: {:.0f} {} in matrix products, {:.1f} GB/s from memory\n\n",
             backend.Identity(), kernels.empty() ? "" : fmt::format("kernels: {}\n", kernels),
             peak.gflops * unit.scale, unit.name, peak.gigabytes_per_second);
  fmt::print("{:<8} {:>5} {:>10} {:>19} {:>9} {:>7} {:>7} {:>7}\n", "phase", "batch", "tokens/s",
             "min to max", unit.name, "of peak", "GB/s", "of peak");
  for (const Measurement& row : rows) {
    fmt::print("{:<8} {:>5} {:>10.1f} {:>19} {:>9.1f} {:>7} {:>7.1f} {:>7}\n", row.phase, row.batch,
               row.Rate(0.5), fmt::format("{:.1f} to {:.1f}", row.Rate(0), row.Rate(1)),
               row.Gflops() * unit.scale, Share(row.Gflops(), peak.gflops), row.Gigabytes(),
               Share(row.Gigabytes(), peak.gigabytes_per_second));
  }
  PrintWaits(options, rows);
  PrintEnergy(rows);
}

/// A released shape by its name, or that of a config.json.
Result<ModelShape> ShapeOf(const Options& options) {
  if (!options.shape.ends_with(".json")) {
    H1_ASSIGN_OR_RETURN(const ReleasedShape released, FindReleasedShape(options.shape));
    return released.shape;
  }
  H1_ASSIGN_OR_RETURN(const std::string text, ReadFile(options.shape));
  H1_ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfig(text, options.shape));
  return config.shape;
}

/// The backend of a checkpoint, or of random weights; the source is gone when this returns.
Result<std::unique_ptr<Backend>> Load(const Options& options) {
  BackendOptions backend_options;
  H1_ASSIGN_OR_RETURN(backend_options.precision, ParsePrecision(options.precision));
  H1_ASSIGN_OR_RETURN(backend_options.device, ParseDevice(ResolveEngine(options.device)));
  backend_options.threads = options.threads;
  backend_options.max_batch_tokens = std::max<std::int64_t>(
      *std::max_element(options.work.batches.begin(), options.work.batches.end()),
      options.work.prompts > 1
          ? options.work.prefill * options.work.prompts
          : std::min<std::int64_t>(options.work.prefill,
                                   backend_options.device == Device::kCpu ? 2048 : 8192));
  backend_options.max_batch_rows = backend_options.max_batch_tokens;
  if (!options.model.empty()) {
    H1_ASSIGN_OR_RETURN(const Checkpoint model, Checkpoint::Open(options.model));
    return CreateBackend(model.config().shape, model.weights(), backend_options);
  }
  H1_ASSIGN_OR_RETURN(const ModelShape shape, ShapeOf(options));
  const bool gpu = backend_options.device != Device::kCpu;  // which makes its weights itself
  H1_ASSIGN_OR_RETURN(const SyntheticModel model,
                      gpu ? SynthesizeForDevice(shape, 1) : SynthesizeInMemory(shape, 1));
  return CreateBackend(model.shape, model.weights, backend_options);
}

/// The products alone, beside the library's.
Status RunProducts(const Options& options) {
  H1_ASSIGN_OR_RETURN(const Device device, ParseDevice(ResolveEngine(options.device)));
  H1_ASSIGN_OR_RETURN(const ModelShape shape, ShapeOf(options));
  const std::int64_t rows = options.work.prefill * options.work.prompts;
  H1_ASSIGN_OR_RETURN(const auto rates, MeasureProducts(device, shape, rows));
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
    return InvalidArgument("bench: give either --model DIR or --shape NAME|config.json");
  }
  H1_ASSIGN_OR_RETURN(const Precision precision, ParsePrecision(options.precision));
  H1_ASSIGN_OR_RETURN(const Device device, ParseDevice(ResolveEngine(options.device)));
  const auto gpu = device == Device::kCuda ? Telemetry::Open() : nullptr;
  H1_ASSIGN_OR_RETURN(const MachinePeak peak, MeasurePeak(device, precision, options.threads));
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend, Load(options));
  H1_ASSIGN_OR_RETURN(const std::vector<Measurement> rows,
                      RunBenchWork(*backend, options.work, gpu.get()));
  H1_ASSIGN_OR_RETURN(const std::string kernels, KernelPaths(device, backend->shape(), precision));
  const Json json = ToJson(options, *backend, peak, rows, gpu ? gpu->Name() : "", kernels);
  if (!options.database.empty()) {
    H1_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store,
                        Store::Open(options.database, Store::Mode::kReadWrite));
    H1_RETURN_IF_ERROR(store->RecordBench(Clock::Real().WallUnixMillis(), WriteJson(json)));
  }
  if (options.json) {
    std::cout << WriteJson(json, 2) << '\n';
  } else {
    PrintTable(options, *backend, peak, rows, kernels);
  }
  return Status::Ok();
}

Command::Run SetUp(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  app.add_option("--model", o->model, "A model folder");
  app.add_option(
      "--shape", o->shape,
      "Random weights instead: of a released shape (0.5B, 1.5B, …) or of a config.json; a "
      "GPU makes them itself");
  app.add_option("--prefill", o->work.prefill, "Tokens of the prompt")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--prompts", o->work.prompts,
                 "Prompts side by side in one forward pass of prefill")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  app.add_option("--decode", o->work.decode, "Steps of generation")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--batch", o->work.batches, "Sequences generated together, a list")
      ->delimiter(',')
      ->check(CLI::Range(1, 2048))
      ->capture_default_str();
  app.add_option("--precision", o->precision, "bf16 or fp32")->capture_default_str();
  app.add_option("--device", o->device, "auto (a GPU where there is one), cpu, cuda")
      ->capture_default_str();
  app.add_option("--threads", o->threads, "Threads; 0: all cores")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--repeat", o->work.repeat, "Repetitions of every measurement")
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

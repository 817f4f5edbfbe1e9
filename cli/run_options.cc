#include "cli/run_options.h"

#include <algorithm>
#include <optional>
#include <thread>

#include "cli/units.h"
#include "kernels/backend.h"
#include "runner/engine/memory.h"

namespace h1bench::cli {

void AddEngineArguments(CLI::App& app, EngineArguments& arguments) {
  app.add_option(
         "--engine", arguments.engine,
         "cpu, cuda (a GPU), auto (cuda where there is a GPU, else cpu), cuda-emulated (the "
         "CUDA code on the CPU: very slow, for tests), or null: answers without a model, to "
         "measure everything else")
      ->check(CLI::IsMember({"auto", "cpu", "cuda", "cuda-emulated", "null"}))
      ->capture_default_str()
      ->group("Engine");
  app.add_option("--batch", arguments.batch, "Sequences in flight at most, per worker")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str()
      ->group("Engine");
  app.add_option("--threads", arguments.threads, "Threads per worker; 0: all cores, shared")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str()
      ->group("Engine");
  app.add_option("--memory", arguments.memory,
                 "Memory for all workers together, as 8GB; default: 80 % of what is free")
      ->group("Engine");
  app.add_flag("--no-prefix-reuse", arguments.no_prefix_reuse,
               "Compute every prompt from its start")
      ->group("Engine");
  app.add_option("--null-delay-ms", arguments.null_delay_ms, "Null engine: milliseconds a request")
      ->group("");
  app.add_option("--null-abort-on", arguments.null_abort_on,
                 "Null engine: a prompt with this text kills the worker")
      ->group("");
  app.add_option("--null-probe", arguments.null_probe, "Null engine: another answer to the probes")
      ->group("");
}

std::string ResolveEngine(const std::string& engine) {
  return engine == "auto" ? DeviceName(DefaultDevice()) : engine;
}

Status ShareOut(EngineArguments& arguments, std::int64_t workers) {
  if (arguments.memory.empty()) {  // 80 % of what is free on the engine's device
    std::optional<std::int64_t> own;
    if (arguments.engine != "null") {
      H1_ASSIGN_OR_RETURN(const Device device, ParseDevice(ResolveEngine(arguments.engine)));
      H1_ASSIGN_OR_RETURN(own, FreeDeviceMemory(device));
    }
    arguments.memory_bytes = own.value_or(engine::FreeMemoryBytes()) / 5 * 4 / workers;
  } else {
    H1_ASSIGN_OR_RETURN(const std::int64_t all, ParseBytes(arguments.memory, "--memory"));
    arguments.memory_bytes = all / workers;
  }
  const auto cores = static_cast<std::int64_t>(std::max(1U, std::thread::hardware_concurrency()));
  if (arguments.threads == 0)
    arguments.threads = static_cast<int>(std::max<std::int64_t>(1, cores / workers));
  return Status::Ok();
}

std::vector<std::string> WorkerArguments(const EngineArguments& arguments) {
  std::vector<std::string> out = {"--engine",  arguments.engine,
                                  "--batch",   std::to_string(arguments.batch),
                                  "--threads", std::to_string(arguments.threads)};
  if (arguments.memory_bytes > 0)
    out.insert(out.end(), {"--memory", std::to_string(arguments.memory_bytes)});
  if (arguments.no_prefix_reuse) out.push_back("--no-prefix-reuse");
  if (arguments.null_delay_ms > 0)
    out.insert(out.end(), {"--null-delay-ms", std::to_string(arguments.null_delay_ms)});
  if (!arguments.null_abort_on.empty())
    out.insert(out.end(), {"--null-abort-on", arguments.null_abort_on});
  return out;
}

EngineOptions ToEngineOptions(const EngineArguments& arguments) {
  EngineOptions options;
  options.max_batch = arguments.batch;
  options.backend.threads = arguments.threads;
  options.prefix_reuse = !arguments.no_prefix_reuse;
  options.memory_bytes = arguments.memory_bytes;
  return options;
}

void AddRunArguments(CLI::App& app, RunArguments& arguments) {
  app.add_option("--workers", arguments.workers, "Worker processes")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option(
      "--data", arguments.data,
      "Folder of the benchmark files; default: the suite's, else the one `data fetch` fills");
  app.add_option("--db", arguments.db, "The database; default: h1bench-results/NAME.db");
  app.add_option("--progress", arguments.progress, "auto, plain (lines) or none")
      ->check(CLI::IsMember({"auto", "plain", "none"}))
      ->capture_default_str();
  app.add_flag("--json", arguments.json, "Print the result as JSON");
  AddEngineArguments(app, arguments.engine);
}

}  // namespace h1bench::cli

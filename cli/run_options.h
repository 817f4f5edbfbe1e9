#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "runner/engine/engine.h"

namespace h1bench::cli {

/// How a worker computes: options of `run`, `resume` and `worker`.
struct EngineArguments {
  std::string engine = "auto";  // or a device's name, or "null"
  std::int64_t batch = 64;
  int threads = 0;                // 0: cores, shared among the workers
  std::string memory;             // "8GB"; empty: 80 % of what is free, shared among the workers
  std::int64_t memory_bytes = 0;  // of one worker, once it is known
  bool no_prefix_reuse = false;
  int null_delay_ms = 0;  // of the null engine, for tests
  std::string null_abort_on, null_probe;
};
void AddEngineArguments(CLI::App& app, EngineArguments& arguments);
/// "auto" as the device that it means on this machine; other names as they are.
std::string ResolveEngine(const std::string& engine);
/// Gives one of `workers` its part of the cores and of the memory, both of which are then set.
Status ShareOut(EngineArguments& arguments, std::int64_t workers);
/// One worker's, as arguments of `h1bench worker`.
std::vector<std::string> WorkerArguments(const EngineArguments& arguments);
/// As the worker gives them to its engine; device, precision and max_length are the variant's.
EngineOptions ToEngineOptions(const EngineArguments& arguments);

/// What `run` and `resume` share.
struct RunArguments {
  EngineArguments engine;
  std::int64_t workers = 1;
  std::string data, db;
  std::string progress = "auto";  // or "plain", "none"
  bool json = false;
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();  // the program
};
void AddRunArguments(CLI::App& app, RunArguments& arguments);

}  // namespace h1bench::cli

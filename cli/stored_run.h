#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "base/status.h"
#include "harness/store/store.h"

/// What commands that go on with a run, or look at it again, take from where it was left.
namespace h1bench::cli {

/// What `run` and the planner kept in RunRow::options_json; empty where a run has none.
struct KeptOptions {
  std::string engine;    // --engine as it was given
  std::string identity;  // the engine whose answers the run takes
  std::string data;      // folder of the benchmark files
};
/// kCorrupt naming the run when it is not JSON.
Result<KeptOptions> ReadKept(const RunRow& run);

/// Adds RUN, which run of a database or coordinator is meant: name, number or beginning of a name.
void AddRunPositional(CLI::App& app, std::string& run, const std::string& when_absent);
/// The same as an option, --run.
void AddRunOption(CLI::App& app, std::string& run);

/// The database in h1bench-results/ that was written last, or kNotFound.
Result<std::filesystem::path> NewestDatabase();

}  // namespace h1bench::cli

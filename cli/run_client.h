#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/status.h"
#include "cli/run_display.h"
#include "proto/h1bench.pb.h"

namespace h1bench::cli {

/// The calls of people to a coordinator, each with its deadline.
class RunsClient {
 public:
  explicit RunsClient(const std::string& address);
  ~RunsClient();
  Result<v1::CreateRunResponse> Create(const v1::CreateRunRequest& request);
  Result<v1::ListRunsResponse> List();
  /// The run that `which` means (MatchRun), as ListRuns tells of it.
  Result<v1::RunProgress> Find(const std::string& which);
  Result<v1::RunProgress> Progress(std::int64_t run);
  Status Cancel(std::int64_t run);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// --coordinator with its default.
void AddCoordinatorOption(CLI::App& app, std::string& address);
/// Shows progress until the run ends, then its table. `once`: shows it as it is now.
Status WatchRun(RunsClient& client, std::int64_t run, RunDisplay::Mode mode, bool once, bool json);
/// For scripts.
std::string ProgressJson(const v1::RunProgress& progress);

}  // namespace h1bench::cli

#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "harness/coordinator/coordinator.h"
#include "harness/coordinator/executor.h"
#include "harness/coordinator/planner.h"
#include "harness/store/store.h"
#include "tasks/task.h"

namespace h1bench {

struct ServerOptions {
  std::string address = "127.0.0.1:0";  // loopback only; port 0: any free one
  CoordinatorOptions coordinator;
  std::filesystem::path data;  // for runs that are submitted and name none
  std::string version_json = "{}", environment_json = "{}";
  int score_threads = 2;
};

/// A coordinator that listens: gRPC service, executor, scorer and store put together.
class CoordinatorServer {
 public:
  /// `store`, `models` and `judge` (may be null: tasks that run code are refused) outlive the
  /// server.
  static Result<std::unique_ptr<CoordinatorServer>> Start(Store& store, ModelSource& models,
                                                          tasks::CodeJudge* judge,
                                                          const ServerOptions& options,
                                                          Clock& clock = Clock::Real());
  /// Stops leasing, lets calls in flight end, answers waiting polls.
  virtual ~CoordinatorServer() = default;

  virtual std::string address() const = 0;  // HOST:PORT that it listens on

  /// All thread-safe.
  virtual Status StartRun(std::int64_t run, const std::string& identity,
                          std::shared_ptr<const TaskSet> tasks,
                          const RunEstimate& estimate = {}) = 0;
  virtual Result<v1::RunProgress> Progress(std::int64_t run) = 0;
  virtual void WorkerLost(const std::string& worker) = 0;
  virtual bool Idle() = 0;
  virtual Status Fatal() = 0;
  virtual std::vector<std::string> Failures() = 0;
};

/// Metadata of CreateRun: the submission's own name, chosen by who submits. A call that comes again
/// under a name, because its answer got lost, gets the first call's answer and makes no other run;
/// the last 100 are known, until the coordinator ends.
inline constexpr const char* kSubmissionName = "h1bench-submission";
/// 16 MiB: no message is larger, either way.
inline constexpr int kMaxMessageBytes = 16 << 20;

}  // namespace h1bench

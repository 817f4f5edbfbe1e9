#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <map>
#include <memory>
#include <string>

#include "base/status.h"
#include "proto/h1bench.pb.h"
#include "runner/engine/engine.h"
#include "runner/worker/null_engine.h"

namespace h1bench {

struct WorkerOptions {
  std::string coordinator;     // HOST:PORT; "-": standard input tells it (ReadMeeting)
  std::string name;            // unique among the coordinator's workers
  std::string engine = "cpu";  // a device's name, or "null"
  EngineOptions engine_options;
  NullEngineOptions null_engine;
  std::int64_t parent = 0;  // process that started it, 0: nobody; the worker dies with it
  std::string environment_json = "{}";
  /// Digests of folders that somebody on this machine read, by their FolderStamp: files that are
  /// still the same are not read twice.
  std::map<std::string, std::string> checked;
  /// Loaded at once, before the coordinator is known and a lease asks for it; no path: none.
  v1::Variant early;
};

/// Where a worker that was started before there was a run is to go.
struct Meeting {
  std::string coordinator;   // HOST:PORT
  std::int64_t variant = 0;  // id of the one that it has loaded early; 0: none
};
/// A line "HOST:PORT ID". kUnavailable when it ends before: there is no run.
Result<Meeting> ReadMeeting(std::istream& in);

/// The engine proves itself (runner/engine/self_test.h); one that fails tells the coordinator,
/// which refuses it. Then asks for leases and answers them until the coordinator says that no work
/// is left (ok), SIGTERM came (ok: what is answered was handed in, the rest given back) or the work
/// cannot be done (why). Ends the process, with exit code 5, when the coordinator was silent for
/// nine seconds.
Status RunWorker(const WorkerOptions& options);

/// A worker's options with what a variant and the device `engine` add to them.
Result<EngineOptions> OptionsForVariant(EngineOptions options, const std::string& engine,
                                        const std::string& precision, std::int64_t max_length);

/// Makes the engine of a variant, after checking that the files are the planned ones.
Result<std::unique_ptr<Engine>> LoadVariant(const v1::Variant& variant,
                                            const WorkerOptions& options);

EngineRequest FromWire(const v1::Request& request, std::int64_t tag);
v1::Response ToWire(const v1::Request& request, const EngineResponse& response);

}  // namespace h1bench

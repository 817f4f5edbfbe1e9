#pragma once

#include <future>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "proto/h1bench.pb.h"
#include "runner/engine/engine.h"
#include "runner/worker/worker.h"

namespace h1bench {

/// An engine with a variant's model in it.
struct LoadedEngine {
  std::unique_ptr<Engine> engine;
  std::string probe;   // what it answered to the probes (Engine::Probe)
  double seconds = 0;  // that all this took
};
Result<LoadedEngine> LoadAndProbe(const v1::Variant& variant, const WorkerOptions& options);

/// Loads a variant in a thread of its own before a lease asks for it. Its end waits for that.
class EarlyLoad {
 public:
  /// Call it once. `options` must outlive the loading.
  void Begin(const v1::Variant& variant, const WorkerOptions& options);
  /// Waits for the engine, or for why there is none, if it is of this variant (whatever its id);
  /// nothing when another one was loaded, which is gone then, or none, or when it was taken.
  std::optional<Result<LoadedEngine>> Take(const v1::Variant& variant);

 private:
  v1::Variant variant_;
  std::future<Result<LoadedEngine>> loading_;
};

}  // namespace h1bench

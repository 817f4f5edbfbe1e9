#pragma once

#include <memory>
#include <string>

#include "runner/engine/engine.h"

namespace h1bench {

struct NullEngineOptions {
  int delay_ms = 0;      // per request
  std::string abort_on;  // a prompt with this text kills the process, as a bug in an engine would
  std::string probe;     // in its digest: a machine that computes other bits
};

/// Answers without a model: numbers and text are a hash of the request. For tests of everything
/// around an engine and for measuring what that costs.
std::unique_ptr<Engine> MakeNullEngine(const NullEngineOptions& options);

}  // namespace h1bench

#pragma once

#include <string>

#include "base/status.h"

namespace h1bench {

/// What decides the bits of an answer beside model, precision and request: engine build, backend
/// and architecture. `engine` is a device's name or "null". Part of every request key; a worker
/// works only for runs planned with its own.
Result<std::string> EngineIdentity(const std::string& engine);

}  // namespace h1bench

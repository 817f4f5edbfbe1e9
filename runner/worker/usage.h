#pragma once

#include <string>

#include "kernels/backend.h"
#include "runner/engine/engine.h"

namespace h1bench {

class Telemetry;

/// Where a worker's time went since it began to load its variant, seconds.
struct WorkTimes {
  double load = 0;    // reading, checking and packing the model, and its probes
  double engine = 0;  // in the engine while it had work
  double wait = 0;    // while it had none: for a lease, or for its tokenising
  double submit = 0;  // in calls of Submit, beside the engine
};

/// What a worker tells of its variant with every submit.
struct Usage {
  MemoryPlan memory;  // the most that was used
  EngineStats stats;
  WorkTimes times;
};

/// With the process's peak of memory, and what the GPU did where one is watched (else null).
/// docs/planning.md explains the members.
std::string UsageJson(const Usage& usage, Telemetry* gpu);

/// Starts the peak of resident memory anew, so that a variant does not answer for the one before it
/// (proc(5), clear_refs).
void ResetPeakMemory();

}  // namespace h1bench

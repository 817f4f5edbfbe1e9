#pragma once

#include <chrono>
#include <cstdint>

namespace h1bench {

/// Time as a seam: leases and timings use Steady(), only what people read uses WallUnixMillis().
/// Thread-safe. A fake with hand-moved time lives in tests/fakes/fake_clock.h.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::chrono::steady_clock::time_point Steady() = 0;
  /// Milliseconds since 1970-01-01 UTC.
  virtual std::int64_t WallUnixMillis() = 0;
  /// The machine's own clocks.
  static Clock& Real();
};

}  // namespace h1bench

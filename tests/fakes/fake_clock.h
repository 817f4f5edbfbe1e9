#pragma once

#include "base/clock.h"

namespace h1bench {

/// Time that moves only when told to. Not thread-safe.
class FakeClock final : public Clock {
 public:
  std::chrono::steady_clock::time_point Steady() override { return steady_; }
  std::int64_t WallUnixMillis() override { return wall_; }
  void Advance(std::chrono::milliseconds by) {
    steady_ += by;
    wall_ += by.count();
  }
  /// The wall clock alone jumps, as when somebody sets the date.
  void JumpWall(std::chrono::milliseconds by) { wall_ += by.count(); }

 private:
  std::chrono::steady_clock::time_point steady_{};
  std::int64_t wall_ = 1'700'000'000'000;
};

}  // namespace h1bench

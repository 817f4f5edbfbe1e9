#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace h1bench::cli {

/// One line on standard error for work measured in bytes: done, speed, time left. On a terminal it
/// redraws itself a few times a second; elsewhere it prints nothing until the end. Not thread-safe.
class ByteProgress {
 public:
  explicit ByteProgress(std::string label);
  ~ByteProgress();
  ByteProgress(const ByteProgress&) = delete;
  /// `total` 0: unknown. Bytes that were there before the work began are told with the first call's
  /// `already`.
  void Show(std::int64_t done, std::int64_t total, std::int64_t already = 0);

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_;
  bool terminal_ = false, drawn_ = false;
  Clock::time_point start_, last_;
};

}  // namespace h1bench::cli

#pragma once

#include <filesystem>
#include <utility>

#include "base/status.h"

namespace h1bench {

/// Held by the one coordinator of a database for as long as it lives. The kernel frees it when the
/// process dies, however it dies, so a dead run never blocks a resume. A POSIX record lock on
/// FILE.lock: not inherited by forks.
class RunLock {
 public:
  /// kFailedPrecondition naming the process that holds it.
  static Result<RunLock> Acquire(const std::filesystem::path& database);
  RunLock(RunLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  RunLock& operator=(RunLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~RunLock();

 private:
  explicit RunLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace h1bench

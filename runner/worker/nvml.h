#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace h1bench {

/// One GPU as NVML sees it: the driver's library, loaded when asked for and never required. Every
/// reading may be missing (old driver, no permission, lost device); missing is never an error.
/// Thread-safe, as NVML is.
class Nvml {
 public:
  /// The GPU that CUDA device 0 of this process is, or null: no library, no driver, no GPU, or more
  /// than one GPU without a way to tell which. H1BENCH_NVML_LIBRARY names another library.
  static std::unique_ptr<Nvml> Open();
  virtual ~Nvml() = default;

  virtual std::string Name() const = 0;
  virtual std::optional<std::string> Driver() const = 0;  // version of the kernel driver
  virtual std::optional<double> Joules() const = 0;       // since the driver was loaded
  virtual std::optional<double> Watts() const = 0;
  virtual std::optional<std::int64_t> SmClockMhz() const = 0;
  virtual std::optional<std::int64_t> Celsius() const = 0;
  virtual std::optional<std::int64_t> MemoryUsed() const = 0;  // bytes, by every process
  /// Processes that compute on it, this one among them when the driver knows it by this id (in a
  /// container it may not).
  virtual std::vector<pid_t> ComputeProcesses() const = 0;
};

}  // namespace h1bench

#pragma once

#include <cstdlib>
#include <string>

#include "kernels/backend.h"

namespace h1bench::testing {

/// The device that tests of the engine use: H1BENCH_TEST_DEVICE (cpu, cuda, cuda-emulated), else
/// the CPU. scripts/gpu-test runs them all on a GPU.
inline Device TestDevice() {
  const char* name = std::getenv("H1BENCH_TEST_DEVICE");
  if (name == nullptr || *name == 0) return Device::kCpu;
  const Result<Device> device = ParseDevice(name);
  if (!device.ok()) {
    std::fprintf(stderr, "H1BENCH_TEST_DEVICE: %s\n", device.status().message().c_str());
    std::abort();
  }
  return *device;
}

}  // namespace h1bench::testing

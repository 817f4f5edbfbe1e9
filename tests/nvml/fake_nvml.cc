// A library that answers like NVML, with known values: built whole, and without the energy counter.
// Each energy reading is 2.5 J after the one before; power is 300 W, at the second reading 450 W.
#include <unistd.h>

#include <atomic>
#include <cstdio>

#define FAKE extern "C" __attribute__((visibility("default")))

namespace {
int device;
std::atomic<unsigned> readings{0};
std::atomic<unsigned long long> energy{1'000'000};  // mJ
struct Process {
  unsigned pid;
  unsigned long long memory;
  unsigned gpu_instance, compute_instance;
};
}  // namespace

FAKE int nvmlInit_v2() {
  readings = 0;
  return 0;
}
FAKE int nvmlShutdown() { return 0; }
FAKE int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 1;
  return 0;
}
FAKE int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** out) {
  *out = &device;
  return index == 0 ? 0 : 2;
}
FAKE int nvmlDeviceGetName(void*, char* text, unsigned size) {
  std::snprintf(text, size, "Fake GPU");
  return 0;
}
FAKE int nvmlSystemGetDriverVersion(char* text, unsigned size) {
  std::snprintf(text, size, "580.1.2");
  return 0;
}
#ifndef FAKE_WITHOUT_ENERGY
FAKE int nvmlDeviceGetTotalEnergyConsumption(void*, unsigned long long* out) {
  *out = energy += 2'500;
  return 0;
}
#endif
FAKE int nvmlDeviceGetPowerUsage(void*, unsigned* out) {
#ifdef FAKE_WITHOUT_ENERGY
  *out = 300'000;
#else
  *out = ++readings == 2 ? 450'000 : 300'000;
#endif
  return 0;
}
FAKE int nvmlDeviceGetClockInfo(void*, int kind, unsigned* out) {
  *out = kind == 1 ? 1'755 : 1;
  return 0;
}
FAKE int nvmlDeviceGetTemperature(void*, int, unsigned* out) {
  *out = 61;
  return 0;
}
FAKE int nvmlDeviceGetMemoryInfo(void*, unsigned long long* out) {  // total, free, used
  out[0] = 80'000, out[1] = 30'000, out[2] = 50'000;
  return 0;
}
FAKE int nvmlDeviceGetComputeRunningProcesses_v3(void*, unsigned* count, Process* out) {
  out[0] = {static_cast<unsigned>(getpid()), 1, 0, 0};
  out[1] = {4'000'001, 2, 0, 0};
  *count = 2;
  return 0;
}

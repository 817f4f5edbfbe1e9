#include "runner/worker/nvml.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>

namespace h1bench {
namespace {

// The part of NVML's documented C interface that is used here; nvml.h need not be installed.
using Device = void*;
constexpr int kSuccess = 0;
constexpr int kClockSm = 1;         // NVML_CLOCK_SM
constexpr int kTemperatureGpu = 0;  // NVML_TEMPERATURE_GPU

struct MemoryInfo {
  unsigned long long total, free, used;
};
struct ProcessInfo {  // of ..._v2 and ..._v3
  unsigned pid;
  unsigned long long used_memory;
  unsigned gpu_instance, compute_instance;
};

template <typename Function>
void Bind(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
}

/// Functions a library lacks are null.
struct Functions {
  int (*init)();
  int (*shutdown)();
  int (*count)(unsigned*);
  int (*by_index)(unsigned, Device*);
  int (*by_uuid)(const char*, Device*);
  int (*name)(Device, char*, unsigned);
  int (*driver)(char*, unsigned);
  int (*energy)(Device, unsigned long long*);  // mJ
  int (*power)(Device, unsigned*);             // mW
  int (*clock)(Device, int, unsigned*);        // MHz
  int (*temperature)(Device, int, unsigned*);  // degrees Celsius
  int (*memory)(Device, MemoryInfo*);
  int (*processes)(Device, unsigned*, ProcessInfo*);

  explicit Functions(void* library) {
    Bind(library, "nvmlInit_v2", init);
    Bind(library, "nvmlShutdown", shutdown);
    Bind(library, "nvmlDeviceGetCount_v2", count);
    Bind(library, "nvmlDeviceGetHandleByIndex_v2", by_index);
    Bind(library, "nvmlDeviceGetHandleByUUID", by_uuid);
    Bind(library, "nvmlDeviceGetName", name);
    Bind(library, "nvmlSystemGetDriverVersion", driver);
    Bind(library, "nvmlDeviceGetTotalEnergyConsumption", energy);
    Bind(library, "nvmlDeviceGetPowerUsage", power);
    Bind(library, "nvmlDeviceGetClockInfo", clock);
    Bind(library, "nvmlDeviceGetTemperature", temperature);
    Bind(library, "nvmlDeviceGetMemoryInfo", memory);
    Bind(library, "nvmlDeviceGetComputeRunningProcesses_v3", processes);
    if (processes == nullptr) Bind(library, "nvmlDeviceGetComputeRunningProcesses_v2", processes);
  }
};

std::string_view Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

/// CUDA device 0. NVML counts in PCI order, CUDA by default fastest first: with several GPUs only a
/// UUID, or a number together with CUDA_DEVICE_ORDER=PCI_BUS_ID, says which; else null, because the
/// figures of another GPU would be worse than none.
Device FindDevice(const Functions& nvml) {
  unsigned count = 0;
  Device device = nullptr;
  if (nvml.count == nullptr || nvml.by_index == nullptr || nvml.count(&count) != kSuccess)
    return nullptr;
  std::string_view visible = Environment("CUDA_VISIBLE_DEVICES");
  visible = visible.substr(0, visible.find(','));
  if (visible.starts_with("GPU-")) {
    const bool found =
        nvml.by_uuid != nullptr && nvml.by_uuid(std::string(visible).c_str(), &device) == kSuccess;
    return found ? device : nullptr;
  }
  if (visible.starts_with("MIG-")) return nullptr;  // power and energy are the whole card's
  unsigned index = 0;
  if (count != 1) {
    if (Environment("CUDA_DEVICE_ORDER") != "PCI_BUS_ID") return nullptr;
    const auto read = std::from_chars(visible.data(), visible.data() + visible.size(), index);
    if (!visible.empty() && (read.ec != std::errc() || read.ptr != visible.end())) return nullptr;
  }
  return index < count && nvml.by_index(index, &device) == kSuccess ? device : nullptr;
}

class LoadedNvml : public Nvml {
 public:
  explicit LoadedNvml(void* library) : library_(library), nvml_(library) {
    started_ = nvml_.init != nullptr && nvml_.init() == kSuccess;
    if (started_) device_ = FindDevice(nvml_);
  }
  ~LoadedNvml() override {
    if (started_ && nvml_.shutdown != nullptr) nvml_.shutdown();
    dlclose(library_);
  }
  LoadedNvml(const LoadedNvml&) = delete;
  LoadedNvml& operator=(const LoadedNvml&) = delete;

  bool found() const { return device_ != nullptr; }

  std::string Name() const override {
    std::array<char, 96> text{};
    if (nvml_.name == nullptr || nvml_.name(device_, text.data(), text.size()) != kSuccess)
      return "GPU";
    text.back() = 0;
    return text.data();
  }
  std::optional<std::string> Driver() const override {
    std::array<char, 96> text{};
    if (nvml_.driver == nullptr || nvml_.driver(text.data(), text.size()) != kSuccess) return {};
    text.back() = 0;
    return text.data();
  }
  std::optional<double> Joules() const override {
    unsigned long long value = 0;
    if (nvml_.energy == nullptr || nvml_.energy(device_, &value) != kSuccess) return {};
    return static_cast<double>(value) / 1e3;
  }
  std::optional<double> Watts() const override {
    unsigned value = 0;
    if (nvml_.power == nullptr || nvml_.power(device_, &value) != kSuccess) return {};
    return static_cast<double>(value) / 1e3;
  }
  std::optional<std::int64_t> SmClockMhz() const override {
    unsigned value = 0;
    if (nvml_.clock == nullptr || nvml_.clock(device_, kClockSm, &value) != kSuccess) return {};
    return value;
  }
  std::optional<std::int64_t> Celsius() const override {
    unsigned value = 0;
    if (nvml_.temperature == nullptr ||
        nvml_.temperature(device_, kTemperatureGpu, &value) != kSuccess)
      return {};
    return value;
  }
  std::optional<std::int64_t> MemoryUsed() const override {
    MemoryInfo value{};
    if (nvml_.memory == nullptr || nvml_.memory(device_, &value) != kSuccess) return {};
    return static_cast<std::int64_t>(value.used);
  }
  std::vector<pid_t> ComputeProcesses() const override {
    std::array<ProcessInfo, 256> list{};
    unsigned count = list.size();
    if (nvml_.processes == nullptr || nvml_.processes(device_, &count, list.data()) != kSuccess)
      return {};
    std::vector<pid_t> out;
    for (std::size_t i = 0; i < std::min<std::size_t>(count, list.size()); ++i)
      out.push_back(static_cast<pid_t>(list[i].pid));
    return out;
  }

 private:
  void* library_;
  Functions nvml_;
  bool started_ = false;
  Device device_ = nullptr;
};

}  // namespace

std::unique_ptr<Nvml> Nvml::Open() {
  const std::string_view other = Environment("H1BENCH_NVML_LIBRARY");
  const std::string path(other.empty() ? "libnvidia-ml.so.1" : other);
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  auto nvml = std::make_unique<LoadedNvml>(library);
  if (!nvml->found()) return nullptr;
  return nvml;
}

}  // namespace h1bench

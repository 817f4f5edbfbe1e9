// Which device computes: names, and one dispatch to each backend's own functions.
#include "kernels/backend.h"

#include "kernels/cpu/backend.h"
#include "kernels/cpu/peak.h"
#include "kernels/cuda/backend.h"

namespace h1bench {
namespace {

constexpr Device kDevices[] = {Device::kCpu, Device::kCuda, Device::kCudaEmulated};

#ifndef H1_HAVE_CUDA
Status NotBuilt() {
  return {StatusCode::kUnavailable,
          "this build has no CUDA backend: build with nvcc on the PATH, or use --device cpu"};
}
#endif

}  // namespace

const char* PrecisionName(Precision precision) {
  return precision == Precision::kFp32 ? "fp32" : "bf16";
}

Result<Precision> ParsePrecision(const std::string& name) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    if (name == PrecisionName(precision)) return precision;
  }
  return InvalidArgument("precision '{}' is not known; use fp32 or bf16", name);
}

const char* DeviceName(Device device) {
  return device == Device::kCpu ? "cpu" : device == Device::kCuda ? "cuda" : "cuda-emulated";
}

Result<Device> ParseDevice(const std::string& name) {
  for (const Device device : kDevices) {
    if (name == DeviceName(device)) return device;
  }
  return InvalidArgument("device \"{}\": expected cpu, cuda or cuda-emulated", name);
}

Device DefaultDevice() { return DeviceIdentity(Device::kCuda).ok() ? Device::kCuda : Device::kCpu; }

Result<std::unique_ptr<Backend>> CreateBackend(const ModelShape& shape, const ModelWeights& weights,
                                               const BackendOptions& options) {
  switch (options.device) {
    case Device::kCpu:
      return cpu::CreateBackend(shape, weights, options);
    case Device::kCudaEmulated:
      return cuda_emulated::CreateBackend(shape, weights, options);
    case Device::kCuda:
      break;
  }
#ifdef H1_HAVE_CUDA
  return cuda::CreateBackend(shape, weights, options);
#else
  return NotBuilt();
#endif
}

MemoryPlan PlanMemory(const ModelShape& shape, const BackendOptions& options, std::int64_t slots,
                      std::int64_t tokens) {
  // Both CUDA backends lay memory out alike, so that a plan needs no GPU.
  return options.device == Device::kCpu ? cpu::PlanMemory(shape, options, slots, tokens)
                                        : cuda_emulated::PlanMemory(shape, options, slots, tokens);
}

double StateTraffic(const ModelShape& shape, const BackendOptions& options) {
  return options.device == Device::kCpu
             ? 2 * static_cast<double>(cpu::PlanMemory(shape, options, 1, 0).state)
             : cuda_emulated::StateTraffic(shape, options);
}

Result<std::string> DeviceIdentity(Device device) {
  switch (device) {
    case Device::kCpu:
      return cpu::Identity();
    case Device::kCudaEmulated:
      return cuda_emulated::Identity();
    case Device::kCuda:
      break;
  }
#ifdef H1_HAVE_CUDA
  return cuda::Identity();
#else
  return NotBuilt();
#endif
}

Result<std::optional<std::int64_t>> FreeDeviceMemory(Device device) {
  if (device == Device::kCpu) return std::optional<std::int64_t>();
  Result<std::int64_t> free = cuda_emulated::FreeMemory();
#ifdef H1_HAVE_CUDA
  if (device == Device::kCuda) free = cuda::FreeMemory();
#endif
  H1_RETURN_IF_ERROR(free.status());
  return std::optional<std::int64_t>(*free);
}

Result<std::string> KernelPaths(Device device, const ModelShape& shape, Precision precision) {
  if (device == Device::kCpu) return std::string();
#ifdef H1_HAVE_CUDA
  if (device == Device::kCuda) return cuda::KernelPaths(shape, precision);
#endif
  if (device == Device::kCuda) return DeviceIdentity(device).status();
  return cuda_emulated::KernelPaths(shape, precision);
}

Result<std::vector<ProductRate>> MeasureProducts(Device device,
                                                 [[maybe_unused]] const ModelShape& shape,
                                                 [[maybe_unused]] std::int64_t rows) {
#ifdef H1_HAVE_CUDA
  if (device == Device::kCuda) return cuda::MeasureProducts(shape, rows);
#endif
  if (device == Device::kCuda) return DeviceIdentity(device).status();
  return InvalidArgument("products are compared with a library's on a GPU only (--device cuda)");
}

Result<MachinePeak> MeasurePeak(Device device, Precision precision, int threads) {
#ifdef H1_HAVE_CUDA
  if (device == Device::kCuda) return cuda::MeasurePeak(precision);
#endif
  if (device == Device::kCuda) return DeviceIdentity(device).status();
  return MeasureCpuPeak(precision, threads);
}

}  // namespace h1bench

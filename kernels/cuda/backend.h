#pragma once

#include "kernels/backend.h"
#include "kernels/peak.h"

/// The CUDA backend, twice: for the GPU, and emulated on the host (emulation/). kernels/backend.cc
/// chooses between them.
namespace h1bench {
namespace cuda {
Result<std::unique_ptr<Backend>> CreateBackend(const ModelShape& shape, const ModelWeights& weights,
                                               const BackendOptions& options);
MemoryPlan PlanMemory(const ModelShape& shape, const BackendOptions& options, std::int64_t slots,
                      std::int64_t tokens);
double StateTraffic(const ModelShape& shape, const BackendOptions& options);
/// kUnavailable with the reason when there is no usable GPU.
Result<std::string> Identity();
/// The table's choice for such a model on this card (paths.h).
Result<std::string> KernelPaths(const ModelShape& shape, Precision precision);
/// Bytes of the device that are free now.
Result<std::int64_t> FreeMemory();
Result<MachinePeak> MeasurePeak(Precision precision);
Result<std::vector<ProductRate>> MeasureProducts(const ModelShape& shape, std::int64_t rows);
}  // namespace cuda
namespace cuda_emulated {
Result<std::unique_ptr<Backend>> CreateBackend(const ModelShape& shape, const ModelWeights& weights,
                                               const BackendOptions& options);
MemoryPlan PlanMemory(const ModelShape& shape, const BackendOptions& options, std::int64_t slots,
                      std::int64_t tokens);
double StateTraffic(const ModelShape& shape, const BackendOptions& options);
Result<std::string> Identity();
Result<std::string> KernelPaths(const ModelShape& shape, Precision precision);
Result<std::int64_t> FreeMemory();
}  // namespace cuda_emulated
}  // namespace h1bench

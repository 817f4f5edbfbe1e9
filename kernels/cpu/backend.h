#pragma once

#include "kernels/backend.h"

namespace h1bench::cpu {

Result<std::unique_ptr<Backend>> CreateBackend(const ModelShape& shape, const ModelWeights& weights,
                                               const BackendOptions& options);
MemoryPlan PlanMemory(const ModelShape& shape, const BackendOptions& options, std::int64_t slots,
                      std::int64_t tokens);
std::string Identity();

}  // namespace h1bench::cpu

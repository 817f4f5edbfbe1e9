#pragma once

#include <cstdint>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/stages.h"

/// A model's weights on the device, laid out as the kernels want them.
namespace h1bench::H1_CUDA_NAMESPACE {

struct DeviceLayer {
  std::vector<DeviceMemory> memory;
  LayerPointers at{};
};

struct DeviceModel {
  std::vector<DeviceMemory> memory;
  std::vector<DeviceLayer> layers;
  const void *embedding = nullptr, *head = nullptr;
  const float* final_norm = nullptr;
  std::int64_t bytes = 0;
};

/// Copies a checked model to the device; kResourceExhausted when it does not fit.
Result<DeviceModel> UploadModel(const ModelShape& shape, const ModelWeights& weights, bool bf16,
                                Stream stream);
/// Bytes that UploadModel takes (norm, bias and conv vectors counted as if all were there).
std::int64_t ModelBytes(const ModelShape& shape, bool bf16);

}  // namespace h1bench::H1_CUDA_NAMESPACE

#pragma once

#include <vector>

#include "kernels/backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/stages.h"

namespace h1bench::H1_CUDA_NAMESPACE {

/// Every activation of a Forward, allocated once for options.max_batch_tokens and max_batch_rows.
class Workspace {
 public:
  static Result<Workspace> Create(const ModelShape& shape, const BackendOptions& options,
                                  Stream stream);
  /// Bytes that Create takes. Pure arithmetic.
  static std::int64_t Bytes(const ModelShape& shape, const BackendOptions& options);

  const Buffers& buffers() const { return buffers_; }
  HeadRow* head_rows() const { return head_rows_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::vector<DeviceMemory> memory_;
  Buffers buffers_{};
  HeadRow* head_rows_ = nullptr;
  std::int64_t bytes_ = 0;
};

}  // namespace h1bench::H1_CUDA_NAMESPACE

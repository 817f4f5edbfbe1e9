#pragma once

#include "kernels/cuda/platform.h"
#include "kernels/generated.h"

/// Random weights made where they are needed.
namespace h1bench::H1_CUDA_NAMESPACE {

/// A run of elements of a generated tensor, and where they go.
struct GeneratedRow {
  Generated source;
  std::int64_t first;    // element of the tensor
  std::int64_t to;       // element of the packed matrix
  std::int64_t columns;  // so many
};

/// Writes the rows (on the device) into `out`, bf16 or fp32; every value is first rounded to bf16,
/// as checkpoints hold them.
void GenerateRows(const GeneratedRow* rows, std::int64_t count, bool bf16, void* out,
                  Stream stream);

}  // namespace h1bench::H1_CUDA_NAMESPACE

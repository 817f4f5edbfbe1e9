#pragma once

#include "kernels/cuda/numerics.h"
#ifndef H1_CUDA_EMULATION
#include <cuda.h>
#include <cudaTypedefs.h>
#endif

namespace h1bench::H1_CUDA_NAMESPACE {

/// A matrix (rows, columns) of bf16 in device memory that is copied in tiles of (box_rows, 64),
/// each to 128-byte swizzled rows. Rows past the end come as zeros.
#ifdef H1_CUDA_EMULATION
struct TensorMap {
  const std::byte* base;
  std::int64_t rows, columns;
  int box_rows;
};
#else
using TensorMap = CUtensorMap;
#endif
/// Host. A failure is noted (device.h).
TensorMap MakeTensorMap(const void* base, std::int64_t rows, std::int64_t columns, int box_rows);

}  // namespace h1bench::H1_CUDA_NAMESPACE

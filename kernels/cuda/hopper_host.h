#pragma once

#include "kernels/cuda/numerics.h"
#ifndef H1_CUDA_EMULATION
#include <cuda.h>
#include <cudaTypedefs.h>
#endif

namespace h1bench::H1_CUDA_NAMESPACE {

/// A matrix in device memory that the copy engine moves in tiles, whose rows lie swizzled in shared
/// memory (TileByte in tensor.h). What lies past the matrix's end comes as zeros and is not
/// written.
struct TensorFacts {
  const void* base = nullptr;  // 16-byte aligned
  std::int64_t rows = 0, columns = 0, ld = 0;
  int element = 2;                    // bytes: 2 bf16, 4 fp32; ld * element a multiple of 16
  int box_rows = 0, box_columns = 0;  // of a tile; rows of 64 or 128 bytes
  int box_panels =
      0;  // 0: one tile a copy (CopyTile); else so many neighbours along a row (CopyPanels)
  auto operator<=>(const TensorFacts&) const = default;
};
#ifdef H1_CUDA_EMULATION
using TensorMap = TensorFacts;
#else
using TensorMap = CUtensorMap;
#endif
/// Host. A failure is noted (device.h).
TensorMap MakeTensorMap(const TensorFacts& facts);

}  // namespace h1bench::H1_CUDA_NAMESPACE

#include <map>
#include <tuple>

#include "kernels/cuda/device.h"
#include "kernels/cuda/hopper_host.h"

namespace h1bench::H1_CUDA_NAMESPACE {

#ifdef H1_CUDA_EMULATION

TensorMap MakeTensorMap(const void* base, std::int64_t rows, std::int64_t columns, int box_rows) {
  return {static_cast<const std::byte*>(base), rows, columns, box_rows};
}

#else

namespace {

/// cuTensorMapEncodeTiled of the installed driver; null on one that is older than Hopper.
PFN_cuTensorMapEncodeTiled_v12000 Encoder() {
  static const auto encoder = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result;
    NoteError(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000,
                                               cudaEnableDefault, &result),
              "cuTensorMapEncodeTiled");
    return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(found);
  }();
  return encoder;
}

}  // namespace

TensorMap MakeTensorMap(const void* base, std::int64_t rows, std::int64_t columns, int box_rows) {
  // A map is a function of these four alone, so one that was made for memory freed since is right.
  thread_local std::map<std::tuple<const void*, std::int64_t, std::int64_t, int>, TensorMap> made;
  const auto key = std::make_tuple(base, rows, columns, box_rows);
  if (const auto found = made.find(key); found != made.end()) return found->second;
  TensorMap map = {};
  const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[1] = {static_cast<cuuint64_t>(columns) * 2};
  const cuuint32_t box[2] = {64, static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t steps[2] = {1, 1};
  const CUresult result =
      Encoder() == nullptr
          ? CUDA_ERROR_NOT_SUPPORTED
          : Encoder()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void*>(base), sizes,
                      strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                      CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) NoteError(cudaErrorNotSupported, "cuTensorMapEncodeTiled");
  if (made.size() > 4096) made.clear();
  made.emplace(key, map);
  return map;
}

#endif

}  // namespace h1bench::H1_CUDA_NAMESPACE

#include <map>

#include "kernels/cuda/device.h"
#include "kernels/cuda/hopper_host.h"

namespace h1bench::H1_CUDA_NAMESPACE {

#ifdef H1_CUDA_EMULATION

TensorMap MakeTensorMap(const TensorFacts& facts) { return facts; }

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

TensorMap MakeTensorMap(const TensorFacts& f) {
  // A map is a function of the facts alone, so one that was made for memory freed since is right.
  thread_local std::map<TensorFacts, TensorMap> made;
  if (const auto found = made.find(f); found != made.end()) return found->second;
  TensorMap map = {};
  // With panels a row is (columns / box_columns, box_columns): panels lie one after the other in a
  // box.
  const bool panels = f.box_panels > 0;
  const cuuint64_t sizes[3] = {static_cast<cuuint64_t>(panels ? f.box_columns : f.columns),
                               static_cast<cuuint64_t>(f.rows),
                               static_cast<cuuint64_t>(f.columns / f.box_columns)};
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(f.ld * f.element),
                                 static_cast<cuuint64_t>(f.box_columns * f.element)};
  const cuuint32_t box[3] = {static_cast<cuuint32_t>(f.box_columns),
                             static_cast<cuuint32_t>(f.box_rows),
                             static_cast<cuuint32_t>(f.box_panels)};
  const cuuint32_t steps[3] = {1, 1, 1};
  const bool wide = f.box_columns * f.element == 128;
  const CUresult result =
      Encoder() == nullptr
          ? CUDA_ERROR_NOT_SUPPORTED
          : Encoder()(
                &map,
                f.element == 2 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
                panels ? 3 : 2, const_cast<void*>(f.base), sizes, strides, box, steps,
                CU_TENSOR_MAP_INTERLEAVE_NONE,
                wide ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_64B,
                CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) NoteError(cudaErrorNotSupported, "cuTensorMapEncodeTiled");
  if (made.size() > 4096) made.clear();
  made.emplace(f, map);
  return map;
}

#endif

}  // namespace h1bench::H1_CUDA_NAMESPACE

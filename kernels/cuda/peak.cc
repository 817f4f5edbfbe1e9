// What the GPU itself reaches: the ceilings that h1bench bench prints beside its own rates.
#ifndef H1_CUDA_EMULATION

#include <cublasLt.h>
#include <dlfcn.h>

#include <algorithm>
#include <random>
#include <vector>

#include "kernels/cuda/backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/numerics.h"

namespace h1bench::cuda {
namespace {

/// Seconds of the fastest of `repeats` runs of `body` on the stream.
template <typename Body>
double Fastest(int repeats, Stream stream, const Body& body) {
  cudaEvent_t begin, end;
  NoteError(cudaEventCreate(&begin), "cudaEventCreate");
  NoteError(cudaEventCreate(&end), "cudaEventCreate");
  double best = 1e30;
  for (int i = 0; i < repeats; ++i) {
    NoteError(cudaEventRecord(begin, stream), "cudaEventRecord");
    body();
    NoteError(cudaEventRecord(end, stream), "cudaEventRecord");
    NoteError(cudaEventSynchronize(end), "cudaEventSynchronize");
    float milliseconds = 0;
    NoteError(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
    best = std::min(best, static_cast<double>(milliseconds) / 1e3);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return best;
}

/// cuBLASLt through dlopen: a ceiling to compare with, not something the program needs.
struct CublasLt {
  void* library = nullptr;
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtMatmulDescCreate) desc_create = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) desc_set = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout_create = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;

  template <typename F>
  void Find(F& function, const char* name) {
    function = reinterpret_cast<F>(dlsym(library, name));
  }
  bool Open() {
    for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"}) {
      library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
      if (library != nullptr) break;
    }
    if (library == nullptr) return false;
    Find(create, "cublasLtCreate");
    Find(destroy, "cublasLtDestroy");
    Find(desc_create, "cublasLtMatmulDescCreate");
    Find(desc_set, "cublasLtMatmulDescSetAttribute");
    Find(layout_create, "cublasLtMatrixLayoutCreate");
    Find(preference_create, "cublasLtMatmulPreferenceCreate");
    Find(preference_set, "cublasLtMatmulPreferenceSetAttribute");
    Find(heuristic, "cublasLtMatmulAlgoGetHeuristic");
    Find(matmul, "cublasLtMatmul");
    return create && destroy && desc_create && desc_set && layout_create && preference_create &&
           preference_set && heuristic && matmul;
  }
};

constexpr std::int64_t kSide = 8192;
constexpr std::int64_t kLtWorkspace = std::int64_t{64} << 20;

/// GFLOP/s of an 8192-cubed product on random data; 0 when the library has no way.
double LibraryRate(CublasLt& lt, Precision precision, Stream stream, const DeviceMemory& a,
                   const DeviceMemory& b, const DeviceMemory& c, const DeviceMemory& workspace) {
  const bool bf16 = precision == Precision::kBf16;
  const cudaDataType_t type = bf16 ? CUDA_R_16BF : CUDA_R_32F;
  cublasLtHandle_t handle = nullptr;
  if (lt.create(&handle) != CUBLAS_STATUS_SUCCESS) return 0;
  cublasLtMatmulDesc_t desc = nullptr;
  lt.desc_create(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  const cublasOperation_t transposed = CUBLAS_OP_T;
  lt.desc_set(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed);
  cublasLtMatrixLayout_t layout = nullptr;
  lt.layout_create(&layout, type, kSide, kSide, kSide);
  cublasLtMatmulPreference_t preference = nullptr;
  lt.preference_create(&preference);
  const auto workspace_bytes = static_cast<std::size_t>(kLtWorkspace);
  lt.preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                    sizeof workspace_bytes);
  cublasLtMatmulHeuristicResult_t found[8];
  int count = 0;
  lt.heuristic(handle, desc, layout, layout, layout, layout, preference, 8, found, &count);
  const float one = 1, zero = 0;
  double best = 0;
  for (int i = 0; i < count; ++i) {
    const auto run = [&] {
      lt.matmul(handle, desc, &one, a.bytes(), layout, b.bytes(), layout, &zero, c.bytes(), layout,
                c.bytes(), layout, &found[i].algo, workspace.bytes(), workspace_bytes, stream);
    };
    run();
    const double seconds = Fastest(5, stream, run);
    best = std::max(best, 2.0 * kSide * kSide * kSide / seconds / 1e9);
  }
  lt.destroy(handle);
  return best;
}

/// Random numbers in (-1, 1): zeros make the card run cooler and faster than any model does.
std::vector<std::byte> RandomMatrix(bool bf16) {
  std::mt19937 random(7);
  std::vector<std::byte> out(static_cast<std::size_t>(kSide * kSide * (bf16 ? 2 : 4)));
  for (std::size_t i = 0; i < out.size() / 4; ++i) {
    auto bits = static_cast<std::uint32_t>(random());
    bits = bf16 ? (bits & 0x807F807FU) | 0x3F003F00U : (bits & 0x807FFFFFU) | 0x3F000000U;
    std::copy_n(reinterpret_cast<const std::byte*>(&bits), 4,
                out.begin() + static_cast<std::ptrdiff_t>(i * 4));
  }
  return out;
}

Result<double> MatrixRate(Precision precision, Stream stream) {
  CublasLt lt;
  if (!lt.Open()) return 0.0;
  const std::vector<std::byte> values = RandomMatrix(precision == Precision::kBf16);
  const auto bytes = static_cast<std::int64_t>(values.size());
  H1_ASSIGN_OR_RETURN(const DeviceMemory a, DeviceMemory::Allocate(bytes));
  H1_ASSIGN_OR_RETURN(const DeviceMemory b, DeviceMemory::Allocate(bytes));
  H1_ASSIGN_OR_RETURN(const DeviceMemory c, DeviceMemory::Allocate(bytes));
  H1_ASSIGN_OR_RETURN(const DeviceMemory workspace, DeviceMemory::Allocate(kLtWorkspace));
  CopyToDevice(a.bytes(), values.data(), bytes, stream);
  CopyToDevice(b.bytes(), values.data(), bytes, stream);
  Synchronize(stream);
  return LibraryRate(lt, precision, stream, a, b, c, workspace);
}

Result<double> CopyRate(Stream stream) {
  constexpr std::int64_t kBytes = std::int64_t{2} << 30;
  H1_ASSIGN_OR_RETURN(const DeviceMemory from, DeviceMemory::Allocate(kBytes));
  H1_ASSIGN_OR_RETURN(const DeviceMemory to, DeviceMemory::Allocate(kBytes));
  const double seconds =
      Fastest(6, stream, [&] { CopyOnDevice(to.bytes(), from.bytes(), kBytes, stream); });
  return 2.0 * kBytes / seconds / 1e9;
}

}  // namespace

Result<MachinePeak> MeasurePeak(Precision precision) {
  H1_RETURN_IF_ERROR(QueryDevice().status());
  H1_ASSIGN_OR_RETURN(const Stream stream, CreateStream());
  MachinePeak peak;
  H1_ASSIGN_OR_RETURN(peak.gigabytes_per_second, CopyRate(stream));
  H1_ASSIGN_OR_RETURN(peak.gflops, MatrixRate(precision, stream));
  DestroyStream(stream);
  peak.method = peak.gflops > 0 ? "cuBLASLt 8192^3 on random data, copy of 2 GiB"
                                : "copy of 2 GiB; no cuBLASLt found to measure matrix products";
  H1_RETURN_IF_ERROR(TakeError());
  return peak;
}

}  // namespace h1bench::cuda

#endif

// What the GPU itself reaches: the ceilings that h1bench bench prints beside its own rates.
#ifndef H1_CUDA_EMULATION

#include <cublasLt.h>
#include <dlfcn.h>

#include <algorithm>
#include <random>
#include <vector>

#include "kernels/cuda/backend.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/stages.h"

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
  decltype(&cublasLtGetVersion) version = nullptr;
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
    Find(version, "cublasLtGetVersion");
    Find(create, "cublasLtCreate");
    Find(destroy, "cublasLtDestroy");
    Find(desc_create, "cublasLtMatmulDescCreate");
    Find(desc_set, "cublasLtMatmulDescSetAttribute");
    Find(layout_create, "cublasLtMatrixLayoutCreate");
    Find(preference_create, "cublasLtMatmulPreferenceCreate");
    Find(preference_set, "cublasLtMatmulPreferenceSetAttribute");
    Find(heuristic, "cublasLtMatmulAlgoGetHeuristic");
    Find(matmul, "cublasLtMatmul");
    return version && create && destroy && desc_create && desc_set && layout_create &&
           preference_create && preference_set && heuristic && matmul;
  }
};

constexpr std::int64_t kSide = 8192;
constexpr std::int64_t kLtWorkspace = std::int64_t{64} << 20;

/// (rows, n) = (rows, k) * (n, k)^T on random data.
struct Product {
  std::int64_t rows, n, k;
  bool bf16;
  Epilogue epilogue = Epilogue::kStore;
  DeviceMemory in, weight, out, workspace;
  double flops() const {
    return 2.0 * static_cast<double>(rows) * static_cast<double>(n) * static_cast<double>(k);
  }
};

/// Random numbers in (-1, 1): zeros make the card run cooler and faster than any model does.
void FillRandom(const DeviceMemory& to, bool bf16, Stream stream) {
  std::mt19937 random(7);
  std::vector<std::uint32_t> out(static_cast<std::size_t>(to.size() / 4));
  for (std::uint32_t& word : out) {
    const auto bits = static_cast<std::uint32_t>(random());
    word = bf16 ? (bits & 0x807F807FU) | 0x3F003F00U : (bits & 0x807FFFFFU) | 0x3F000000U;
  }
  CopyToDevice(to.bytes(), out.data(), static_cast<std::int64_t>(out.size() * 4), stream);
  Synchronize(stream);
}

Result<Product> MakeProduct(std::int64_t rows, std::int64_t n, std::int64_t k, bool bf16,
                            Stream stream) {
  const std::int64_t element = bf16 ? 2 : 4;
  Product p{rows, n, k, bf16, Epilogue::kStore, {}, {}, {}, {}};
  H1_ASSIGN_OR_RETURN(p.in, DeviceMemory::Allocate(rows * RoundUp(k, kPadK) * element));
  H1_ASSIGN_OR_RETURN(p.weight,
                      DeviceMemory::Allocate(RoundUp(n, kPadN) * RoundUp(k, kPadK) * element));
  H1_ASSIGN_OR_RETURN(p.out, DeviceMemory::Allocate(rows * RoundUp(n, kPadN) * 4));
  H1_ASSIGN_OR_RETURN(p.workspace, DeviceMemory::Allocate(kLtWorkspace));
  FillRandom(p.in, bf16, stream);
  FillRandom(p.weight, bf16, stream);
  FillZero(p.out.bytes(), p.out.size(), stream);
  return p;
}

/// GFLOP/s of the fastest algorithm that the library proposes; 0 when it has no way. Results of
/// type `result`, added to what is there when the product's epilogue adds.
double LibraryRate(CublasLt& lt, const Product& p, cudaDataType_t result, Stream stream) {
  const cudaDataType_t type = p.bf16 ? CUDA_R_16BF : CUDA_R_32F;
  cublasLtHandle_t handle = nullptr;
  if (lt.create(&handle) != CUBLAS_STATUS_SUCCESS) return 0;
  cublasLtMatmulDesc_t desc = nullptr;
  lt.desc_create(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  const cublasOperation_t transposed = CUBLAS_OP_T;
  lt.desc_set(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed);
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;  // column-major: out^T = w * in^T
  const auto n = static_cast<std::uint64_t>(p.n), k = static_cast<std::uint64_t>(p.k),
             rows = static_cast<std::uint64_t>(p.rows);
  const std::int64_t width = RoundUp(p.k, kPadK);
  lt.layout_create(&a, type, k, n, width);
  lt.layout_create(&b, type, k, rows, width);
  lt.layout_create(&c, result, n, rows, RoundUp(p.n, kPadN));
  cublasLtMatmulPreference_t preference = nullptr;
  lt.preference_create(&preference);
  const auto workspace_bytes = static_cast<std::size_t>(kLtWorkspace);
  lt.preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                    sizeof workspace_bytes);
  cublasLtMatmulHeuristicResult_t found[8];
  int count = 0;
  lt.heuristic(handle, desc, a, b, c, c, preference, 8, found, &count);
  const float one = 1, old = p.epilogue == Epilogue::kAdd ? 1 : 0;
  double best = 0;
  for (int i = 0; i < count; ++i) {
    const auto run = [&] {
      lt.matmul(handle, desc, &one, p.weight.bytes(), a, p.in.bytes(), b, &old, p.out.bytes(), c,
                p.out.bytes(), c, &found[i].algo, p.workspace.bytes(), workspace_bytes, stream);
    };
    run();
    best = std::max(best, p.flops() / Fastest(5, stream, run) / 1e9);
  }
  lt.destroy(handle);
  return best;
}

/// GFLOP/s of the kernel that the backend takes.
double OwnRate(const Product& p, Path path, Stream stream) {
  GemmArgs args;
  args.in = p.in.bytes(), args.weight = p.weight.bytes();
  args.rows = p.rows, args.n = p.n, args.k = p.k, args.ldi = RoundUp(p.k, kPadK);
  args.out = p.out.bytes(), args.epilogue = p.epilogue;
  const bool swiglu = p.epilogue == Epilogue::kSwiGlu;
  args.columns = p.n / 2, args.ldo = swiglu ? p.n / 2 : p.n;
  const auto run = [&] { Gemm(args, path, stream); };
  run();
  return p.flops() / Fastest(5, stream, run) / 1e9;
}

/// Sets `version` to the library's.
Result<double> MatrixRate(Precision precision, Stream stream, std::size_t& version) {
  CublasLt lt;
  if (!lt.Open()) return 0.0;
  version = lt.version();
  H1_ASSIGN_OR_RETURN(const Product product,
                      MakeProduct(kSide, kSide, kSide, precision == Precision::kBf16, stream));
  return LibraryRate(lt, product, product.bf16 ? CUDA_R_16BF : CUDA_R_32F, stream);
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
  std::size_t version = 0;
  H1_ASSIGN_OR_RETURN(peak.gflops, MatrixRate(precision, stream, version));
  DestroyStream(stream);
  peak.method = peak.gflops > 0
                    ? fmt::format("cuBLASLt {} 8192^3 on random data, copy of 2 GiB", version)
                    : std::string("copy of 2 GiB; no cuBLASLt found to measure matrix products");
  H1_RETURN_IF_ERROR(TakeError());
  return peak;
}

Result<std::vector<ProductRate>> MeasureProducts(const ModelShape& shape, std::int64_t rows) {
  H1_ASSIGN_OR_RETURN(const DeviceFacts facts, QueryDevice());
  H1_ASSIGN_OR_RETURN(const Stream stream, CreateStream());
  CublasLt lt;
  const bool library = lt.Open();
  const Path path = ChoosePaths(Dims(shape), true, facts.capability()).products;
  const std::int64_t mixed = shape.ssm_inner + shape.query_rows();
  std::vector<ProductRate> out = {
      {"in", shape.in_proj_rows() + shape.query_rows() + 2 * shape.key_rows(), shape.hidden, rows},
      {"out", shape.hidden, mixed, rows},
      {"gate_up", 2 * shape.intermediate, shape.hidden, rows},
      {"down", shape.hidden, shape.intermediate, rows}};
  for (ProductRate& rate : out) {
    H1_ASSIGN_OR_RETURN(Product product, MakeProduct(rows, rate.n, rate.k, true, stream));
    product.epilogue = rate.name == "in"        ? Epilogue::kStore
                       : rate.name == "gate_up" ? Epilogue::kSwiGlu
                                                : Epilogue::kAdd;
    rate.gflops = OwnRate(product, path, stream);
    if (!library) continue;
    const bool halves = product.epilogue == Epilogue::kSwiGlu;
    rate.library_gflops = LibraryRate(lt, product, halves ? CUDA_R_16BF : CUDA_R_32F, stream);
    product.epilogue = Epilogue::kStore;
    rate.library_bf16_gflops = LibraryRate(lt, product, CUDA_R_16BF, stream);
  }
  DestroyStream(stream);
  H1_RETURN_IF_ERROR(TakeError());
  return out;
}

}  // namespace h1bench::cuda

#endif

#include "kernels/cuda/generate.h"

#include "kernels/cuda/numerics.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kThreads) GenerateKernel(const GeneratedRow* rows, T* out) {
  WaitForKernelBefore();
  const GeneratedRow row = rows[blockIdx.x];
  const float half_step = row.source.half_width / 65536.0F;
  for (std::int64_t i = threadIdx.x; i < row.columns; i += kThreads) {
    const auto index = static_cast<std::uint64_t>(row.first + i);
    Bf16 rounded;
    Store(&rounded, static_cast<float>(GeneratedOdd(row.source.key, index)) * half_step);
    Store(out + row.to + i, Load(rounded));
  }
}

}  // namespace

void GenerateRows(const GeneratedRow* rows, std::int64_t count, bool bf16, void* out,
                  Stream stream) {
  const LaunchShape shape{dim3(static_cast<unsigned>(count)), dim3(kThreads), 0,
                          Threads::kIndependent};
  if (bf16) {
    Launch("generate", GenerateKernel<Bf16>, shape, stream, rows, static_cast<Bf16*>(out));
  } else {
    Launch("generate", GenerateKernel<float>, shape, stream, rows, static_cast<float*>(out));
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

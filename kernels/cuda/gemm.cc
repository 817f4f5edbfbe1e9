#include "kernels/cuda/gemm.h"

namespace h1bench::H1_CUDA_NAMESPACE {

GemmKind GemmKindFor(bool bf16, int major, int minor) {
  if (!bf16) return GemmKind::kPlain;
  return major == 9 && minor == 0 ? GemmKind::kWgmma : GemmKind::kMma;
}

void Gemm(const GemmArgs& args, GemmKind kind, Stream stream) {
  switch (kind) {
    case GemmKind::kPlain:
      return GemmPlain(args, false, stream);
    case GemmKind::kMma:
      return GemmMma(args, stream);
    case GemmKind::kWgmma:
      return GemmWgmma(args, WgmmaTileFor(args), stream);
  }
}

}  // namespace h1bench::H1_CUDA_NAMESPACE

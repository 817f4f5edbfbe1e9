// The kernels of one instruction set gathered into its table. Included by isa_*.cc only.
#pragma once
#include "kernels/cpu/vector/attention.h"
#include "kernels/cpu/vector/limits.h"
#include "kernels/cpu/vector/product.h"
#include "kernels/cpu/vector/rows.h"
#include "kernels/cpu/vector/ssd.h"

namespace h1bench::cpu::H1_ISA {

#if defined(__AVX512BF16__)
typedef Pairs Bf16Product;
inline constexpr ActKind kBf16Kind = ActKind::kBf16;
inline constexpr int64_t kKvStep = PairAttention::kStep;
#else
typedef Widened Bf16Product;
inline constexpr ActKind kBf16Kind = ActKind::kF32Rounded;
inline constexpr int64_t kKvStep = 1;
#endif

const VectorKernels kTable = {H1_ISA_NAME,
                              RmsNorm,
                              AddScaled,
                              Affine,
                              SwiGlu,
                              TimeSteps,
                              Conv,
                              Gate,
                              Ssd,
                              Attention,
                              Head,
                              Product<Floats>,
                              Product<Bf16Product>,
                              kBf16Kind,
                              kKvStep,
                              kPanel,
                              Registers<Floats>,
                              Registers<Bf16Product>,
                              ReadAll};

}  // namespace h1bench::cpu::H1_ISA

// The kernels of one instruction set gathered into its table. Included by isa_*.cc only.
#pragma once
#include "kernels/cpu/vector/attention.h"
#include "kernels/cpu/vector/gemm.h"
#include "kernels/cpu/vector/rows.h"
#include "kernels/cpu/vector/ssd.h"

namespace h1bench::cpu::H1_ISA {

const VectorKernels kTable = {H1_ISA_NAME, RmsNorm, AddScaled, Affine, SwiGlu,    Conv,
                              Gate,        ExpRow,  Gemm,      Ssd,    Attention, Head};

}  // namespace h1bench::cpu::H1_ISA

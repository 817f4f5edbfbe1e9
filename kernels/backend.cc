#include "kernels/backend.h"

namespace h1bench {

const char* PrecisionName(Precision precision) {
  return precision == Precision::kFp32 ? "fp32" : "bf16";
}

Result<Precision> ParsePrecision(const std::string& name) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    if (name == PrecisionName(precision)) return precision;
  }
  return InvalidArgument("precision '{}' is not known; use fp32 or bf16", name);
}

const char* DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kBF16:
      return "BF16";
    case DType::kF16:
      return "F16";
  }
  return "?";
}

std::size_t DTypeBytes(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

}  // namespace h1bench

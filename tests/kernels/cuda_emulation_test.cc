// The CUDA backend, emulated on the host, against the goldens that the CPU backend is held to.
#include "tests/kernels/golden.h"

namespace h1bench {
namespace {

double FolderError(const std::filesystem::path& folder, Precision precision) {
  const auto model = Checkpoint::Open(folder);
  EXPECT_TRUE(model.ok()) << model.status().message();
  const auto backend = testing::MakeBackend(*model, precision, 1, 512, Device::kCudaEmulated);
  if (backend == nullptr) return INFINITY;
  return testing::LogitError(*backend, testing::ReadGolden(folder, "a"));
}

TEST(CudaEmulated, GoldenLogits) {
  for (const char* name : {"plain", "norm-before-gate"}) {
    const auto folder = testing::GoldensDir() / "models" / name;
    const double fp32 = FolderError(folder, Precision::kFp32),
                 bf16 = FolderError(folder, Precision::kBf16);
    printf("%-18s fp32 %.1e  bf16 %.1e\n", name, fp32, bf16);
    EXPECT_LE(fp32, 2e-5) << name;
    EXPECT_LE(bf16, 0.15) << name;
  }
}

}  // namespace
}  // namespace h1bench

// Logits of the CPU backend against those of transformers (fp32, eager) on random checkpoints of every config variation.
#include "tests/kernels/golden.h"

namespace h1bench {
namespace {

using testing::GoldenSequence;
using testing::LogitError;

constexpr double kBound = 2e-5;       // fp32: of the largest logit; transformers itself is within 1.2e-5 of float64

const std::vector<std::string> kAll = {"autos",    "biases",          "f16-sharded", "f32",  "gated-norm",
                                       "gqa6-p128", "long",           "no-conv-bias", "norm-before-gate", "plain",
                                       "tied",     "time-step-limit", "two-eos",     "two-groups"};

double FolderError(const std::filesystem::path& folder, Precision precision) {
  const auto model = Checkpoint::Open(folder);
  EXPECT_TRUE(model.ok()) << model.status().message();
  const auto backend = testing::MakeBackend(*model, precision);
  double error = 0;
  for (const char* name : {"a", "b"}) {
    error = std::max(error, LogitError(*backend, testing::ReadGolden(folder, name)));
  }
  return error;
}

TEST(GoldenLogits, AllFourteenInFp32) {
  H1_NEED_SHARED();
  for (const std::string& name : kAll) {
    const double error = FolderError(testing::SharedDir() / "goldens/models" / name, Precision::kFp32);
    EXPECT_LE(error, kBound) << name;
    printf("%s fp32 %.2g\n", name.c_str(), error);
  }
}

}  // namespace
}  // namespace h1bench

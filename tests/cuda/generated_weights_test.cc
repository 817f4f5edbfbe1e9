// Random weights that the device makes are those that the host makes, to the bit; and nothing is
// made where a backend cannot.
#include <gtest/gtest.h>

#include <cstring>
#include <utility>
#include <vector>

#include "kernels/backend.h"
#include "runner/checkpoint/synthesize.h"
#include "tests/cuda/card.h"

namespace h1bench {
namespace {

using testing::kDevice;

/// Odd sizes everywhere: padded rows and columns must stay zero.
ModelShape OddShape(bool tied, std::int64_t hidden = 70) {
  ModelShape s;
  s.vocab = 131, s.hidden = hidden, s.intermediate = 45, s.layers = 2;
  s.heads = 2, s.kv_heads = 1, s.head_dim = 18;
  s.ssm_heads = 3, s.ssm_head_dim = 7, s.ssm_inner = 21, s.ssm_groups = 1, s.ssm_state = 9;
  s.conv_taps = 4, s.chunk = 64, s.max_positions = 64;
  s.tied_embeddings = tied;
  return s;
}

std::vector<float> Logits(const ModelShape& shape, const SyntheticModel& model,
                          Precision precision) {
  BackendOptions options;
  options.device = kDevice;
  options.precision = precision;
  options.max_batch_tokens = options.max_batch_rows = 8;
  const auto backend = CreateBackend(shape, model.weights, options);
  EXPECT_TRUE(backend.ok()) << backend.status().message();
  if (!backend.ok()) return {};
  const std::vector<std::int32_t> ids = {3, 130, 77, 5};
  std::vector<float> out(ids.size() * static_cast<std::size_t>(shape.vocab));
  Segment segment{*(*backend)->Allocate(8), ids, {}, false};
  for (std::size_t i = 0; i < ids.size(); ++i)
    segment.rows.push_back(
        {static_cast<std::int32_t>(i), {}, out.data() + i * static_cast<std::size_t>(shape.vocab)});
  const auto result = (*backend)->Forward(std::span(&segment, 1));
  EXPECT_TRUE(result.ok()) << result.status().message();
  return out;
}

TEST(CudaGeneratedWeights, AreThoseOfTheHost) {
  for (const auto& [tied, hidden] : {std::pair<bool, std::int64_t>{false, 70},
                                     {true, 70},
                                     {false, 255},  // around a block's threads
                                     {false, 256},
                                     {true, 257}}) {
    SCOPED_TRACE(hidden);
    const ModelShape shape = OddShape(tied, hidden);
    const auto stored = SynthesizeInMemory(shape, 9), formulas = SynthesizeForDevice(shape, 9);
    const auto other = SynthesizeForDevice(shape, 10);
    ASSERT_TRUE(stored.ok() && formulas.ok() && other.ok());
    EXPECT_TRUE(formulas->weights.embedding.generated);
    EXPECT_TRUE(formulas->weights.layers[1].down.bytes.empty());
    for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
      const std::vector<float> expected = Logits(shape, *stored, precision);
      EXPECT_EQ(Logits(shape, *formulas, precision), expected);
      EXPECT_NE(Logits(shape, *other, precision), expected);
    }
  }
}

TEST(CudaGeneratedWeights, TheCpuWantsBytes) {
  const auto model = SynthesizeForDevice(OddShape(false), 9);
  ASSERT_TRUE(model.ok());
  const auto refused = CreateBackend(model->shape, model->weights, {});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("does not make weights from formulas"),
            std::string::npos);
}

/// A formula for a tensor of another shape is refused like bytes of another size.
TEST(CudaGeneratedWeights, ShapesAreChecked) {
  auto model = SynthesizeForDevice(OddShape(false), 9);
  ASSERT_TRUE(model.ok());
  model->weights.layers[1].up.shape[0] += 1;
  BackendOptions options;
  options.device = kDevice;
  const auto refused = CreateBackend(model->shape, model->weights, options);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("up_proj"), std::string::npos);
}

}  // namespace
}  // namespace h1bench

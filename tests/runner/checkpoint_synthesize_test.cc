#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/layout.h"
#include "runner/checkpoint/shapes.h"
#include "runner/checkpoint/synthesize.h"
#include "tests/runner/checkpoint_fixture.h"

namespace h1bench {
namespace {

TEST(Shapes, PublishedParameterCountsToTheLastDigit) {
  ASSERT_EQ(ReleasedShapes().size(), 7U);
  for (const ReleasedShape& released : ReleasedShapes())
    EXPECT_EQ(CountParameters(released.shape), released.parameters) << released.name;
  EXPECT_EQ(FindReleasedShape("0.5B")->parameters, 521'411'104);
  EXPECT_EQ(FindReleasedShape("1.5B")->parameters, 1'554'863'488);
  EXPECT_EQ(FindReleasedShape("1.5B-Deep")->parameters, 1'554'872'208);
  EXPECT_EQ(FindReleasedShape("3B")->parameters, 3'149'387'264);
  EXPECT_EQ(FindReleasedShape("7B")->parameters, 7'585'648'736);
  EXPECT_EQ(FindReleasedShape("34B")->parameters, 33'642'516'224);
  EXPECT_EQ(FindReleasedShape("Tiny-90M")->parameters, 91'131'072);
  ModelShape wrong = FindReleasedShape("3B")->shape;
  wrong.gated_norm = false;  // a planted mistake is seen
  EXPECT_NE(CountParameters(wrong), 3'149'387'264);
  EXPECT_NE(FindReleasedShape("1.5B-deep").status().message().find("did you mean 1.5B-Deep"),
            std::string::npos);
}

TEST(Shapes, MultipliersAreThePublishedOnes) {
  const ModelShape half = FindReleasedShape("0.5B")->shape;
  EXPECT_EQ(half.embedding_multiplier, 5.656854249492381F);
  EXPECT_EQ(half.lm_head_multiplier, 0.0390625F);
  EXPECT_EQ(half.attention_out_multiplier, 0.9375F);
  EXPECT_EQ(half.key_multiplier, 0.390625F);
  EXPECT_EQ(half.ssm_in_multiplier, 1.25F);
  EXPECT_EQ(half.ssm_out_multiplier, 0.23570226039551587F);
  EXPECT_EQ(half.ssm_multipliers,
            (std::array<float, 5>{0.3535533905932738F, 0.25F, 0.3535533905932738F, 0.5F,
                                  0.3535533905932738F}));
  EXPECT_EQ(half.mlp_multipliers, (std::array<float, 2>{0.8838834764831844F, 0.5859375F}));
  const ModelShape big = FindReleasedShape("34B")->shape;
  EXPECT_NEAR(big.key_multiplier, 0.0110485435, 1e-9);
  EXPECT_NEAR(big.mlp_multipliers[0], 0.176777, 5e-7);
  EXPECT_NEAR(big.mlp_multipliers[1], 0.011161, 5e-7);
  EXPECT_NEAR(big.attention_out_multiplier, 0.0375, 1e-8);
  const ModelShape seven = FindReleasedShape("7B")->shape;
  EXPECT_NEAR(seven.key_multiplier, 0.0306903985, 1e-9);
  EXPECT_NEAR(seven.mlp_multipliers[1], 0.0325521, 5e-8);
  EXPECT_NEAR(seven.ssm_in_multiplier, 0.4166666, 1e-7);
}

TEST(Synthesize, ConfigReadsBackTheSame) {
  for (const ReleasedShape& released : ReleasedShapes()) {
    const std::string text = MakeConfigJson(released.shape);
    const auto config = ParseModelConfig(text, "config.json");
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_EQ(MakeConfigJson(config->shape), text) << released.name;
  }
  ModelShape shape = testing::TinyShape();
  shape.dt_min = 0.25F;
  EXPECT_EQ(ParseModelConfig(MakeConfigJson(shape), "c")->shape.dt_min, 0.25F);
  EXPECT_TRUE(std::isinf(ParseModelConfig(MakeConfigJson(shape), "c")->shape.dt_max));
}

TEST(Synthesize, FilesMemoryAndShardsHoldTheSameBytes) {
  const testing::TemporaryFolder folder;
  SynthesizeOptions options;
  options.shape = testing::TinyShape();
  options.seed = 7;
  options.folder = folder.path() / "one";
  ASSERT_TRUE(SynthesizeCheckpoint(options).ok());
  options.folder = folder.path() / "many";
  options.max_shard_bytes = 3000;
  ASSERT_TRUE(SynthesizeCheckpoint(options).ok());
  const auto one = Checkpoint::Open(folder.path() / "one");
  const auto many = Checkpoint::Open(folder.path() / "many");
  ASSERT_TRUE(one.ok()) << one.status().message();
  ASSERT_TRUE(many.ok()) << many.status().message();
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "many/model.safetensors.index.json"));
  EXPECT_EQ(*one->Digest(), *many->Digest());
  const auto memory = SynthesizeInMemory(options.shape, 7);
  ASSERT_TRUE(memory.ok());
  EXPECT_TRUE(std::ranges::equal(memory->weights.layers[1].down.bytes,
                                 many->weights().layers[1].down.bytes));
  options.seed = 8;
  options.folder = folder.path() / "other";
  ASSERT_TRUE(SynthesizeCheckpoint(options).ok());
  EXPECT_NE(*Checkpoint::Open(options.folder)->Digest(), *one->Digest());
}

TEST(Synthesize, RefusesAFolderInUse) {
  const testing::TemporaryFolder folder;
  testing::WriteText(folder.path() / "precious", "x");
  SynthesizeOptions options;
  options.shape = testing::TinyShape();
  options.folder = folder.path();
  const Status status = SynthesizeCheckpoint(options);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("not an empty folder"), std::string::npos);
}

TEST(Synthesize, RefusesADiskThatIsTooSmall) {
  const testing::TemporaryFolder folder;
  SynthesizeOptions options;
  options.shape = FindReleasedShape("34B")->shape;
  options.shape.layers = 4096;  // some 2 TB
  options.folder = folder.path() / "big";
  const Status status = SynthesizeCheckpoint(options);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.message();
}

TEST(Synthesize, ValuesAreFiniteWithTheIntendedSpread) {
  const auto model = SynthesizeInMemory(testing::TinyShape(), 1);
  ASSERT_TRUE(model.ok());
  const auto spread = [](const TensorView& view) {
    double sum = 0;
    for (std::size_t i = 0; i < view.bytes.size(); i += 2) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, view.bytes.data() + i, 2);
      const float value = std::bit_cast<float>(std::uint32_t{bits} << 16);
      EXPECT_TRUE(std::isfinite(value));
      sum += double{value} * value;
    }
    return std::sqrt(sum / (static_cast<double>(view.bytes.size()) / 2));
  };
  const ModelShape& s = model->shape;
  EXPECT_NEAR(spread(model->weights.layers[0].up), 1 / std::sqrt(static_cast<double>(s.hidden)),
              0.01);
  EXPECT_NEAR(spread(model->weights.layers[0].input_norm), 1, 0.05);
  EXPECT_LT(spread(model->weights.layers[0].a_log), std::log(16.0) + 0.01);
}

}  // namespace
}  // namespace h1bench

#include <gtest/gtest.h>

#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/layout.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

const char* const kModels[] = {
    "plain",   "gated-norm", "two-groups", "norm-before-gate", "biases",      "no-conv-bias",
    "tied",    "gqa6-p128",  "autos",      "time-step-limit",  "f16-sharded", "f32",
    "two-eos", "long"};

std::filesystem::path Model(const std::string& name) {
  return testing::SharedDir() / "goldens/models" / name;
}

TEST(CheckpointGolden, AllOpenAndHoldEveryParameter) {
  H1_NEED_SHARED();
  for (const std::string name : kModels) {
    const auto checkpoint = Checkpoint::Open(Model(name));
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    EXPECT_EQ(checkpoint->parameters(), CountParameters(checkpoint->config().shape)) << name;
    EXPECT_EQ(checkpoint->weights().layers.size(),
              static_cast<std::size_t>(checkpoint->config().shape.layers));
    EXPECT_FALSE(checkpoint->chat_template().has_value());
  }
  const auto chat = Checkpoint::Open(testing::SharedDir() / "goldens/lm_eval/model");
  ASSERT_TRUE(chat.ok()) << chat.status().message();
  EXPECT_TRUE(chat->chat_template().has_value());
}

TEST(CheckpointGolden, WhatEachVariantIsAbout) {
  H1_NEED_SHARED();
  const auto open = [](const char* name) { return Checkpoint::Open(Model(name)).value(); };
  const Checkpoint autos = open("autos");
  EXPECT_EQ(autos.config().shape.ssm_inner, 96);
  EXPECT_EQ(autos.config().shape.ssm_head_dim, 16);
  EXPECT_EQ(autos.config().shape.kv_heads, 4);
  EXPECT_EQ(autos.config().shape.head_dim, 12);
  const Checkpoint limited = open("time-step-limit");
  EXPECT_EQ(limited.config().shape.dt_min, 0.02F);
  EXPECT_EQ(limited.config().shape.dt_max, 0.6F);
  EXPECT_EQ(open("plain").config().shape.dt_max, std::numeric_limits<float>::infinity());
  const Checkpoint tied = open("tied");
  EXPECT_EQ(tied.weights().lm_head.bytes.data(), tied.weights().embedding.bytes.data());
  const Checkpoint half = open("f16-sharded");
  EXPECT_EQ(half.weights().embedding.dtype, DType::kF16);
  EXPECT_EQ(half.parameters(), 163288);    // metadata.total_parameters of its index
  EXPECT_EQ(half.weight_bytes(), 326576);  // metadata.total_size
  EXPECT_EQ(open("f32").config().shape.norm_eps, 1e-6F);
  EXPECT_EQ(open("two-eos").config().eos_ids, (std::vector<std::int32_t>{11, 228}));
  EXPECT_EQ(open("two-eos").config().shape.rope_base, 1e4);
  EXPECT_EQ(open("plain").config().shape.rope_base, 1e11);
  EXPECT_EQ(open("plain").config().bos_id, 17);
  EXPECT_TRUE(open("norm-before-gate").config().shape.norm_before_gate);
  EXPECT_EQ(open("no-conv-bias").config().shape.conv_taps, 3);
  const Checkpoint biases = open("biases");
  EXPECT_FALSE(biases.weights().layers[0].ssm_in_bias.empty());
  EXPECT_FALSE(biases.weights().layers[2].down_bias.empty());
  const ModelShape gated = open("gated-norm").config().shape;
  EXPECT_EQ(gated.ssm_multipliers, (std::array<float, 5>{1.7F, 0.6F, 0.9F, 1.1F, 0.45F}));
  EXPECT_EQ(gated.mlp_multipliers, (std::array<float, 2>{1.4F, 0.29F}));
  EXPECT_EQ(gated.key_multiplier, 0.61F);
}

}  // namespace
}  // namespace h1bench

#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "runner/checkpoint/checkpoint.h"

namespace h1bench {
namespace {

/// A small valid config as JSON, to be changed by one field.
Json Base() {
  return ParseJson(R"({
    "architectures": ["FalconH1ForCausalLM"], "model_type": "falcon_h1", "torch_dtype": "bfloat16",
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "hidden_act": "silu",
    "mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 2, "mamba_d_state": 16,
    "rope_theta": 100000000000.0, "bos_token_id": 17, "eos_token_id": 11, "pad_token_id": 0})")
      .value();
}

Result<ModelConfig> Parse(const Json& json) {
  return ParseModelConfig(WriteJson(json), "config.json");
}

Result<ModelConfig> With(const char* key, Json value) {
  Json json = Base();
  json.Set(key, std::move(value));
  return Parse(json);
}

Result<ModelConfig> Without(const char* key) {
  Json json = Base();
  std::erase_if(json.as_object(), [&](const auto& member) { return member.first == key; });
  return Parse(json);
}

/// The config is refused and the message holds every part.
void ExpectRefused(const Result<ModelConfig>& result, const std::vector<std::string>& parts) {
  ASSERT_FALSE(result.ok());
  for (const std::string& part : parts)
    EXPECT_NE(result.status().message().find(part), std::string::npos)
        << part << " in: " << result.status().message();
}

TEST(ModelConfig, ClassDefaultsOfAbsentFields) {
  const auto config = Parse(Base());
  ASSERT_TRUE(config.ok()) << config.status().message();
  const ModelShape& s = config->shape;
  EXPECT_EQ(s.conv_taps, 4);
  EXPECT_EQ(s.chunk, 256);
  EXPECT_EQ(s.max_positions, 8192);
  EXPECT_EQ(s.norm_eps, 1e-5F);
  EXPECT_TRUE(s.conv_bias);
  EXPECT_TRUE(s.norm_before_gate);
  EXPECT_FALSE(s.gated_norm || s.tied_embeddings || s.attention_bias || s.mlp_bias ||
               s.ssm_in_bias || s.ssm_out_bias);
  EXPECT_EQ(s.dt_min, 0);
  EXPECT_TRUE(std::isinf(s.dt_max));
  EXPECT_EQ(s.embedding_multiplier * s.lm_head_multiplier * s.key_multiplier * s.ssm_in_multiplier,
            1);
  EXPECT_EQ(s.ssm_multipliers, (std::array<float, 5>{1, 1, 1, 1, 1}));
  EXPECT_EQ(Without("num_key_value_heads").status().ok(),
            false);  // the class's 8 does not divide 4 heads
  EXPECT_EQ(Without("eos_token_id")->eos_ids, std::vector<std::int32_t>{2});
  EXPECT_EQ(Without("bos_token_id")->bos_id, 1);
  EXPECT_EQ(Without("head_dim")->shape.head_dim, 8);
  EXPECT_EQ(Without("mamba_d_head")->shape.ssm_head_dim, 8);
}

TEST(ModelConfig, NullsAndAuto) {
  EXPECT_EQ(With("num_key_value_heads", nullptr)->shape.kv_heads, 4);
  EXPECT_EQ(With("head_dim", nullptr)->shape.head_dim, 8);
  EXPECT_EQ(With("mamba_d_head", "auto")->shape.ssm_head_dim, 8);
  EXPECT_EQ(With("mamba_d_head", nullptr)->shape.ssm_head_dim, 8);
  EXPECT_EQ(With("mamba_d_ssm", nullptr)->shape.ssm_inner, 64);  // mamba_expand 2 x hidden 32
  EXPECT_EQ(With("rope_scaling", nullptr)->shape.rope_base, 1e11);
  EXPECT_EQ(With("mlp_multipliers", nullptr)->shape.mlp_multipliers, (std::array<float, 2>{1, 1}));
  EXPECT_EQ(With("key_multiplier", nullptr)->shape.key_multiplier, 1);
  EXPECT_FALSE(With("mamba_norm_before_gate", nullptr)->shape.norm_before_gate);
  EXPECT_TRUE(With("eos_token_id", nullptr)->eos_ids.empty());
  EXPECT_FALSE(With("bos_token_id", nullptr)->bos_id.has_value());
  EXPECT_FALSE(With("pad_token_id", -1)->pad_id.has_value());
  EXPECT_TRUE(std::isinf(With("time_step_limit", nullptr)->shape.dt_max));
}

TEST(ModelConfig, SpellingsOfRopeAndInfinity) {
  Json json = Base();
  std::erase_if(json.as_object(), [](const auto& member) { return member.first == "rope_theta"; });
  ExpectRefused(Parse(json), {"config.json", "no \"rope_theta\""});
  json.Set("rope_parameters", Json(Json::Object{{"rope_type", "default"}, {"rope_theta", 10000}}));
  EXPECT_EQ(Parse(json)->shape.rope_base, 1e4);
  json.Set("rope_theta", 5000.0);
  ExpectRefused(Parse(json), {"rope_theta", "5000", "10000"});
  for (const char* high : {"Infinity", R"({"__float__": "Infinity"})", "0.5"}) {
    std::string text = WriteJson(Base());
    text.insert(1, std::string(R"("time_step_limit": [0.01, )") + high + "],");
    const auto config = ParseModelConfig(text, "config.json");
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_EQ(config->shape.dt_min, 0.01F);
    EXPECT_EQ(std::isinf(config->shape.dt_max), high[0] != '0');
  }
  EXPECT_EQ(With("eos_token_id", Json::Array{11, 28})->eos_ids,
            (std::vector<std::int32_t>{11, 28}));
}

TEST(ModelConfig, UnsupportedMathematicsIsRefusedByName) {
  ExpectRefused(With("model_type", "llama"), {"model_type", "llama", "falcon_h1"});
  ExpectRefused(Without("model_type"), {"model_type", "absent"});
  ExpectRefused(With("architectures", Json::Array{"FalconH1Other"}),
                {"architectures", "FalconH1Other"});
  ExpectRefused(With("hidden_act", "gelu"), {"hidden_act", "gelu", "silu"});
  ExpectRefused(With("rope_scaling", Json::Object{{"rope_type", "yarn"}, {"factor", 4.0}}),
                {"rope_scaling.rope_type", "yarn"});
  ExpectRefused(
      With("rope_parameters", Json::Object{{"rope_theta", 1e11}, {"partial_rotary_factor", 0.5}}),
      {"rope_parameters.partial_rotary_factor"});
  ExpectRefused(With("quantization_config", Json::Object{{"quant_method", "gptq"}}),
                {"quantization_config", "gptq"});
  ExpectRefused(With("sliding_window", 4096), {"sliding_window"});
}

TEST(ModelConfig, ContradictionsNameTheNumbers) {
  ExpectRefused(With("num_key_value_heads", 3), {"num_key_value_heads 3", "num_attention_heads 4"});
  ExpectRefused(With("mamba_d_head", 9), {"mamba_n_heads 8 x mamba_d_head 9", "64"});
  ExpectRefused(With("mamba_n_groups", 3), {"mamba_n_groups 3"});
  ExpectRefused(With("head_dim", 7), {"head_dim", "even"});
  ExpectRefused(With("vocab_size", 0), {"vocab_size", "1 to"});
  ExpectRefused(With("vocab_size", std::int64_t{1} << 40), {"vocab_size"});
  ExpectRefused(With("num_hidden_layers", "24"), {"num_hidden_layers", "(string)"});
  ExpectRefused(With("hidden_size", 32.5), {"hidden_size", "32.5"});
  ExpectRefused(With("eos_token_id", 64), {"eos_token_id", "0 to 63"});
  ExpectRefused(With("eos_token_id", Json::Array{11, -1}), {"eos_token_id"});
  ExpectRefused(With("ssm_multipliers", Json::Array{1, 2}), {"ssm_multipliers", "5 numbers"});
  ExpectRefused(With("key_multiplier", 1e300), {"key_multiplier", "finite"});
  ExpectRefused(With("time_step_limit", Json::Array{2, 1}), {"time_step_limit"});
  ExpectRefused(With("attention_bias", 1), {"attention_bias", "true or false"});
  ExpectRefused(With("rope_theta", 0), {"rope_theta", "above 0"});
}

TEST(ModelConfig, HostileText) {
  EXPECT_EQ(ParseModelConfig("", "c").status().code(), StatusCode::kCorrupt);
  ExpectRefused(ParseModelConfig("[]", "c"), {"c: expected a JSON object", "array"});
  ExpectRefused(ParseModelConfig(std::string(100'000, '['), "c"), {"nested deeper"});
  ExpectRefused(ParseModelConfig("{\"a\": 1, \"a\": 2}", "c"), {"duplicate key"});
  std::string nan = WriteJson(Base());
  nan.insert(1, "\"rms_norm_eps\": NaN,");
  ExpectRefused(ParseModelConfig(nan, "c"), {"rms_norm_eps", "finite"});
}

TEST(ModelConfig, GenerationConfigReplacesTheStops) {
  ModelConfig config = *Parse(Base());
  ASSERT_TRUE(ApplyGenerationConfig(R"({"eos_token_id": [11, 28]})", "g", config).ok());
  EXPECT_EQ(config.eos_ids, (std::vector<std::int32_t>{11, 28}));
  ASSERT_TRUE(ApplyGenerationConfig("{}", "g", config).ok());
  EXPECT_EQ(config.eos_ids.size(), 2U);
  EXPECT_NE(ApplyGenerationConfig(R"({"eos_token_id": 99})", "g", config)
                .message()
                .find("g: \"eos_token_id\""),
            std::string::npos);
}

}  // namespace
}  // namespace h1bench

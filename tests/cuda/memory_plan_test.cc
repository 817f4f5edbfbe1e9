// Memory plans of the released shapes against the arithmetic of their published sizes.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/backend.h"
#include "runner/checkpoint/shapes.h"

namespace h1bench {
namespace {

struct Expected {
  const char* shape;
  std::int64_t kv_bytes_per_token;  // bf16: 2 * 2 * kv_heads * head_dim * layers
  double state_megabytes;           // fp32: layers * d_ssm * N * 4, without the conv tail
  double parameters;                // billions
};
constexpr Expected kShapes[] = {
    {"0.5B", 18432, 28.3, 0.521}, {"1.5B", 24576, 75.5, 1.555}, {"1.5B-Deep", 67584, 103.8, 1.555},
    {"3B", 32768, 134.2, 3.149},  {"7B", 45056, 138.4, 7.586},  {"34B", 147456, 302.0, 33.64},
};

MemoryPlan Plan(const char* name, std::int64_t slots, std::int64_t tokens, Precision precision) {
  const auto released = FindReleasedShape(name);
  EXPECT_TRUE(released.ok());
  BackendOptions options;
  options.device = Device::kCuda;
  options.precision = precision;
  options.max_batch_tokens = 8192;
  options.max_batch_rows = 512;
  return PlanMemory(released->shape, options, slots, tokens);
}

TEST(CudaMemoryPlan, AgreesWithThePublishedSizes) {
  for (const Expected& e : kShapes) {
    SCOPED_TRACE(e.shape);
    for (const std::int64_t tokens : {4096, 32768, 262144}) {
      EXPECT_EQ(Plan(e.shape, 3, tokens, Precision::kBf16).kv, 3 * tokens * e.kv_bytes_per_token);
      EXPECT_EQ(Plan(e.shape, 3, tokens, Precision::kFp32).kv, 6 * tokens * e.kv_bytes_per_token);
    }
    const MemoryPlan one = Plan(e.shape, 1, 4096, Precision::kBf16);
    const ModelShape shape = FindReleasedShape(e.shape)->shape;
    const std::int64_t tails = shape.layers * 3 * shape.conv_channels() * 4;  // kept in fp32
    const std::int64_t open_chunk =
        shape.layers * 64 *
        ((shape.ssm_inner + shape.ssm_groups * shape.ssm_state) * 2 + shape.ssm_heads * 4);
    EXPECT_NEAR(static_cast<double>(one.state - tails - open_chunk) / 1e6, e.state_megabytes, 0.06);
    const MemoryPlan fp32 = Plan(e.shape, 1, 4096, Precision::kFp32);
    EXPECT_NEAR(static_cast<double>(fp32.state - tails) / 1e6, e.state_megabytes, 0.06);
    // A bf16 decode step reads the state and writes it once in 64; fp32 writes it every time.
    BackendOptions options;
    options.device = Device::kCuda;
    EXPECT_NEAR(StateTraffic(shape, options),
                e.state_megabytes * 1e6 * 65 / 64 + static_cast<double>(tails + open_chunk) / 2,
                0.08e6);
    options.precision = Precision::kFp32;
    EXPECT_NEAR(StateTraffic(shape, options), 2.0 * static_cast<double>(fp32.state), 1);
    EXPECT_EQ(Plan(e.shape, 5, 4096, Precision::kBf16).state, 5 * one.state);
    // bf16 matrices, padded to whole tiles; a tied embedding is kept as the head, too.
    EXPECT_GE(static_cast<double>(one.weights), e.parameters * 2e9 * 0.998);
    EXPECT_LE(static_cast<double>(one.weights), e.parameters * 2e9 * 1.15);
    EXPECT_GT(one.workspace, 8192 * 1024 * 4);
  }
}

/// A partly filled page counts whole.
TEST(CudaMemoryPlan, PagesAreWhole) {
  const auto kv = [](std::int64_t tokens) { return Plan("7B", 1, tokens, Precision::kBf16).kv; };
  EXPECT_EQ(kv(1), kv(64));
  EXPECT_EQ(kv(65), kv(128));
  EXPECT_EQ(kv(65), 2 * kv(64));
}

/// Which sequence fits a card, bf16.
TEST(CudaMemoryPlan, CardsOf24And80And141Gigabytes) {
  const auto fits = [](const char* shape, std::int64_t tokens, double gigabytes) {
    return static_cast<double>(Plan(shape, 1, tokens, Precision::kBf16).total()) <= gigabytes * 1e9;
  };
  for (const char* shape : {"0.5B", "1.5B", "1.5B-Deep", "3B"}) {
    EXPECT_TRUE(fits(shape, 4096, 24)) << shape;
    EXPECT_TRUE(fits(shape, 131072, 80)) << shape;
  }
  EXPECT_TRUE(fits("7B", 32768, 24));    // 15.4 GB of weights, 1.5 GB of KV, the workspace
  EXPECT_FALSE(fits("7B", 262144, 24));  // 11.8 GB of KV
  EXPECT_TRUE(fits("7B", 262144, 80));
  EXPECT_FALSE(fits("34B", 4096, 24));
  EXPECT_TRUE(fits("34B", 4096, 80));
  EXPECT_FALSE(fits("34B", 131072, 80));  // 19.3 GB of KV
  EXPECT_TRUE(fits("34B", 262144, 141));  // 38.7 GB of KV
}

}  // namespace
}  // namespace h1bench

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

/// Activations of 8 192 rows and 512 asked ones, written out from the model's sizes; tables are
/// what is left.
std::int64_t Activations(const ModelShape& s) {
  const auto padded = [](std::int64_t n) { return (n + 63) / 64 * 64; };
  const std::int64_t channels = s.ssm_inner + 2 * s.ssm_groups * s.ssm_state;
  const std::int64_t queries = s.heads * s.head_dim, keys = s.kv_heads * s.head_dim;
  const std::int64_t wide = s.ssm_inner + channels + s.ssm_heads + queries + 2 * keys;
  const std::int64_t row = 4 * s.hidden + 2 * padded(s.hidden) + 4 * wide + 2 * channels +
                           2 * queries + 4 * keys + 4 * s.ssm_heads +
                           2 * padded(s.ssm_inner + queries) + 2 * padded(s.intermediate) +
                           4 * s.head_dim + (s.gated_norm ? 4 * s.ssm_inner : 0);
  const std::int64_t asked = 4 * s.hidden + 2 * padded(s.ssm_inner + queries) + 16;
  return 8192 * row + 512 * asked + 128 * s.vocab * 4;
}

TEST(CudaMemoryPlan, TheWorkspaceIsBoundedWhateverTheContext) {
  for (const Expected& e : kShapes) {
    SCOPED_TRACE(e.shape);
    const ModelShape shape = FindReleasedShape(e.shape)->shape;
    for (const std::int64_t tokens : {4096, 262144}) {
      const std::int64_t rest =
          Plan(e.shape, 1, tokens, Precision::kBf16).workspace - Activations(shape);
      EXPECT_GE(rest, std::int64_t{64} << 20);  // a slab of pages
      EXPECT_LE(rest, std::int64_t{68} << 20);  // and tables
    }
  }
}

/// Every released shape, 4K to 256K, on cards of 24, 80 and 141 GB, against the spec's own numbers:
/// what they say cannot fit is refused, and what fits with 15 % of the weights and 2 GB to spare is
/// not.
TEST(CudaMemoryPlan, WhatFitsIsWhatTheSpecSaysFits) {
  int fit = 0, refused = 0, between = 0;
  for (const Expected& e : kShapes) {
    for (std::int64_t tokens = 4096; tokens <= 262144; tokens *= 2) {
      for (const double card : {24e9, 80e9, 141e9}) {
        SCOPED_TRACE(fmt::format("{} {} {}", e.shape, tokens, card));
        const double sequence =
            static_cast<double>(e.kv_bytes_per_token) * static_cast<double>(tokens) +
            e.state_megabytes * 1e6;
        const double least = e.parameters * 2e9 * 0.998 + sequence;
        const double most = e.parameters * 2e9 * 1.15 + sequence +
                            static_cast<double>(Activations(FindReleasedShape(e.shape)->shape)) +
                            2e9;
        const auto plan = static_cast<double>(Plan(e.shape, 1, tokens, Precision::kBf16).total());
        EXPECT_GE(plan, least);
        EXPECT_LE(plan, most);
        if (least > card) {
          EXPECT_GT(plan, card);
          ++refused;
        } else if (most <= card) {
          EXPECT_LE(plan, card);
          ++fit;
        } else {
          ++between;
        }
      }
    }
  }
  EXPECT_EQ(fit + refused + between, 6 * 7 * 3);
  EXPECT_GE(fit, 90);
  EXPECT_GE(refused, 10);
  EXPECT_LE(between, 12) << "the bounds say too little";
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

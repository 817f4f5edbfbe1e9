// Row kernels of every instruction set that this machine has, called directly, against float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/vector/table.h"
#include "tests/kernels/table_name.h"

namespace h1bench::cpu {
namespace {

using Floats = std::vector<float>;

class RowKernels : public ::testing::TestWithParam<int> {
 protected:
  static const VectorKernels& Table() { return *AllKernels().tables[GetParam()]; }
  static Floats Draw(std::size_t count, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    Floats out(count);
    for (float& v : out) v = normal(random);
    return out;
  }
};

double Silu(double x) { return x / (1 + std::exp(-x)); }

/// Within 2 units in the last place. A time step held at 1 makes the decay exp(a).
TEST_P(RowKernels, ExpIsAccurate) {
  Floats a;
  for (float v = -86; v < 87.5F; v += 0.0137F) a.push_back(v);
  a.insert(a.end(), {-INFINITY, -200, 0, NAN});
  const Floats zeros(a.size());
  Floats dt(a.size()), decay(a.size());
  Table().time_steps(zeros.data(), zeros.data(), a.data(), 1, 1,
                     static_cast<std::int64_t>(a.size()), dt.data(), decay.data());
  for (std::size_t i = 0; i + 1 < a.size(); ++i) {
    ASSERT_EQ(dt[i], 1.0F);
    if (a[i] < -87.0F) {
      EXPECT_EQ(decay[i], 0.0F) << a[i];
    } else {
      const double expected = std::exp(static_cast<double>(a[i]));
      EXPECT_NEAR(static_cast<double>(decay[i]) / expected, 1.0, 2.4e-7) << a[i];
    }
  }
  EXPECT_TRUE(std::isnan(decay.back()));
}

TEST_P(RowKernels, SoftplusIsAccurateAndClamped) {
  Floats raw;
  for (float v = -86; v < 60; v += 0.0137F) raw.push_back(v);
  raw.insert(raw.end(), {-INFINITY, -200, 0, 20, 1e30F, NAN});
  const auto n = static_cast<std::int64_t>(raw.size());
  const Floats bias(raw.size(), 0.25F), a(raw.size(), -0.5F);
  Floats dt(raw.size()), decay(raw.size());
  Table().time_steps(raw.data(), bias.data(), a.data(), 0, INFINITY, n, dt.data(), decay.data());
  for (std::size_t i = 0; i + 1 < raw.size(); ++i) {
    const auto x = static_cast<double>(raw[i] + 0.25F);
    const double expected = x > 20 ? x : std::log1p(std::exp(x));
    EXPECT_NEAR(static_cast<double>(dt[i]), expected, 6e-7 * expected + 1e-37) << raw[i];
    EXPECT_NEAR(static_cast<double>(decay[i]), std::exp(-0.5 * static_cast<double>(dt[i])), 3e-7);
  }
  EXPECT_TRUE(std::isnan(dt.back()));
  Table().time_steps(raw.data(), bias.data(), a.data(), 0.01F, 3, n, dt.data(), decay.data());
  for (std::size_t i = 0; i + 1 < raw.size(); ++i) {
    EXPECT_GE(dt[i], 0.01F);
    EXPECT_LE(dt[i], 3.0F);
  }
}

/// The conv of one token with `missing` rows before the sequence's beginning.
double ConvError(const VectorKernels& table, std::int64_t n, std::int64_t missing, bool biases,
                 float wrong) {
  constexpr std::int64_t kTaps = 4;
  std::mt19937 random(static_cast<std::uint32_t>(n));
  std::normal_distribution<float> normal;
  const auto draw = [&](std::int64_t count) {
    Floats out(static_cast<std::size_t>(count));
    for (float& v : out) v = normal(random);
    return out;
  };
  const Floats in = draw(kTaps * n), scale = draw(n), in_bias = draw(n), bias = draw(n);
  Floats w = draw(kTaps * n), out(static_cast<std::size_t>(n + 1), 77);
  const float* rows[kTaps];
  for (std::int64_t k = 0; k < kTaps; ++k) rows[k] = k < missing ? nullptr : in.data() + k * n;
  table.conv(rows, {scale.data(), biases ? in_bias.data() : nullptr}, w.data(),
             biases ? bias.data() : nullptr, kTaps, n, out.data());
  EXPECT_EQ(out.back(), 77.0F);
  w[static_cast<std::size_t>(3 * n)] += wrong;
  double worst = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    double sum = biases ? static_cast<double>(bias[at]) : 0;
    for (std::int64_t k = missing; k < kTaps; ++k) {
      const auto tap = static_cast<std::size_t>(k * n + i);
      const double v = static_cast<double>(in[tap]) * static_cast<double>(scale[at]) +
                       (biases ? static_cast<double>(in_bias[at]) : 0);
      sum += static_cast<double>(w[tap]) * v;
    }
    worst = std::max(worst, std::abs(static_cast<double>(out[at]) - Silu(sum)));
  }
  return worst;
}

TEST_P(RowKernels, ConvReadsScaledRowsThatExist) {
  for (const std::int64_t n : {16, 37, 256}) {
    for (std::int64_t missing = 0; missing < 4; ++missing) {
      EXPECT_LT(ConvError(Table(), n, missing, false, 0), 4e-6) << n << ", " << missing;
      EXPECT_LT(ConvError(Table(), n, missing, true, 0), 4e-6) << n << ", " << missing;
    }
    EXPECT_GT(ConvError(Table(), n, 1, true, 0.01F), 4e-5) << "a wrong weight must show";
  }
}

TEST_P(RowKernels, GateReadsScaledZ) {
  constexpr std::int64_t kN = 37;
  const Floats y = Draw(kN, 1), z = Draw(kN, 2), scale = Draw(kN, 3), bias = Draw(kN, 4);
  for (const bool biased : {false, true}) {
    Floats work = y, out(kN);
    Table().gate(work.data(), z.data(), {scale.data(), biased ? bias.data() : nullptr}, nullptr, kN,
                 1, false, 1e-5F, 1.5F, ActKind::kF32, out.data());
    for (std::size_t i = 0; i < kN; ++i) {
      const double gate = static_cast<double>(z[i]) * static_cast<double>(scale[i]) +
                          (biased ? static_cast<double>(bias[i]) : 0);
      EXPECT_NEAR(static_cast<double>(out[i]), static_cast<double>(y[i]) * Silu(gate) * 1.5, 2e-6);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, RowKernels, ::testing::Range(0, AllKernels().count), TableName);

}  // namespace
}  // namespace h1bench::cpu

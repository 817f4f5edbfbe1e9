// Angles at base 1e11 to the last position of 262 144 tokens, against long double; the CUDA ones:
// tests/cuda/stages_test.cc.
#include "kernels/cpu/rope.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace h1bench {
namespace {

TEST(Rope, AnglesAreExactAtEveryPosition) {
  for (const std::int64_t head_dim : {18, 64, 128}) {
    ModelShape shape;
    shape.head_dim = head_dim;
    ASSERT_EQ(shape.rope_base, 1e11);
    const std::vector<double> frequencies = cpu::RopeFrequencies(shape);
    std::vector<float> cosines(frequencies.size()), sines(frequencies.size());
    long double worst = 0, worst_in_fp32 = 0;
    for (const std::int64_t position :
         {0, 1, 63, 4095, 32767, 65537, 131071, 200003, 262142, 262143}) {
      cpu::RopeAngles(frequencies, position, cosines.data(), sines.data());
      for (std::size_t i = 0; i < frequencies.size(); ++i) {
        const long double frequency = std::pow(
            1e11L, -2.0L * static_cast<long double>(i) / static_cast<long double>(head_dim));
        const long double angle = static_cast<long double>(position) * frequency;
        worst = std::max({worst, std::abs(static_cast<long double>(cosines[i]) - std::cos(angle)),
                          std::abs(static_cast<long double>(sines[i]) - std::sin(angle))});
        const float rough = static_cast<float>(position) * static_cast<float>(frequency);
        worst_in_fp32 = std::max(
            worst_in_fp32, std::abs(static_cast<long double>(std::cos(rough)) - std::cos(angle)));
      }
    }
    EXPECT_LE(worst, 3.1e-8L) << head_dim;  // half a unit in the last place below 1
    EXPECT_GT(worst_in_fp32, 1e-4L) << head_dim;
  }
}

}  // namespace
}  // namespace h1bench

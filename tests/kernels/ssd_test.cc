// The scan of every instruction set that this machine has, called directly: right against float64
// for gentle, strong and vanishing decays, and the same bits however the tokens are cut.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/vector/table.h"
#include "tests/kernels/table_name.h"

namespace h1bench::cpu {
namespace {

using Floats = std::vector<float>;

std::size_t At(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Random inputs of one head. Time steps are such that decays lie between exp(-strength) and 1.
class Head {
 public:
  Head(const VectorKernels& table, std::int64_t tokens, std::int64_t head_dim, std::int64_t state,
       float strength)
      : table_(table), tokens_(tokens), p_(head_dim), n_(state) {
    std::mt19937 random(static_cast<std::uint32_t>(tokens * 31 + head_dim + state));
    std::normal_distribution<float> normal;
    std::uniform_real_distribution<float> uniform;
    x_.resize(At(tokens * (p_ + 2 * n_)));
    for (float& v : x_) v = normal(random);
    for (std::int64_t t = 0; t < tokens; ++t) {
      dt_.push_back(uniform(random));
      decay_.push_back(std::exp(-strength * dt_.back()));
    }
  }

  /// Where token t0 begins a new call for every t0 of `cuts`; `keep` is the state that is left.
  Floats Run(const std::vector<std::int64_t>& cuts, Floats* keep = nullptr) const {
    Floats y(At(tokens_ * p_), NAN), state(At(SsdStateFloats(p_, n_)), NAN);
    Floats scratch(At(SsdScratch(p_, n_)), NAN);
    std::int64_t begin = 0;
    for (std::size_t i = 0; i <= cuts.size(); ++i) {
      const std::int64_t end = i < cuts.size() ? cuts[i] : tokens_;
      SsdArgs args{};
      args.state_in = begin == 0 ? nullptr : state.data();
      args.state_out = end == tokens_ && keep == nullptr ? nullptr : state.data();
      args.stride = p_ + 2 * n_;
      args.x = x_.data() + begin * args.stride;
      args.b = args.x + p_;
      args.c = args.b + n_;
      args.dt = dt_.data() + begin, args.decay = decay_.data() + begin, args.dt_stride = 1;
      args.d_skip = 0.5F;
      args.y = y.data() + begin * p_, args.y_stride = p_;
      args.tokens = end - begin, args.head_dim = p_, args.state = n_;
      args.scratch = scratch.data();
      table_.ssd(args);
      begin = end;
    }
    if (keep != nullptr) *keep = state;
    return y;
  }

  /// The largest difference from the recurrence in float64, as a share of the largest y; `wrong` is
  /// added to every decay.
  double Error(const Floats& y, double wrong = 0) const {
    std::vector<double> s(At(p_ * n_));
    double worst = 0, largest = 0;
    for (std::int64_t t = 0; t < tokens_; ++t) {
      const float* x = x_.data() + t * (p_ + 2 * n_);
      for (std::int64_t p = 0; p < p_; ++p) {
        double sum = 0.5 * static_cast<double>(x[p]);
        for (std::int64_t n = 0; n < n_; ++n) {
          double& v = s[At(p * n_ + n)];
          v = v * (static_cast<double>(decay_[At(t)]) + wrong) + static_cast<double>(dt_[At(t)]) *
                                                                     static_cast<double>(x[p]) *
                                                                     static_cast<double>(x[p_ + n]);
          sum += v * static_cast<double>(x[p_ + n_ + n]);
        }
        const double got = static_cast<double>(y[At(t * p_ + p)]);
        worst = std::isnan(got) ? 1e9 : std::max(worst, std::abs(got - sum));
        largest = std::max(largest, std::abs(sum));
      }
    }
    return worst / largest;
  }
  float& decay(std::int64_t t) { return decay_[At(t)]; }

 private:
  const VectorKernels& table_;
  std::int64_t tokens_, p_, n_;
  Floats x_, dt_, decay_;
};

class SsdTest : public ::testing::TestWithParam<int> {
 protected:
  static const VectorKernels& Table() { return *AllKernels().tables[GetParam()]; }
};

constexpr double kBound = 2e-6;
// From states that hardly fade to ones of which nothing is left after one token.
constexpr float kStrengths[] = {1e-4F, 0.05F, 1, 20, 60};

TEST_P(SsdTest, EqualsTheRecurrenceInDouble) {
  for (const float strength : kStrengths) {
    for (const std::int64_t tokens : {1, 3, 64, 65, 300}) {
      for (const auto& [p, n] : {std::pair{64, 128}, {24, 19}, {16, 16}, {80, 8}, {7, 33}}) {
        const Head head(Table(), tokens, p, n, strength);
        EXPECT_LT(head.Error(head.Run({})), kBound)
            << tokens << " tokens of " << p << " x " << n << ", strength " << strength;
      }
    }
  }
}

TEST_P(SsdTest, AWrongDecayShows) {
  const Head head(Table(), 100, 64, 32, 1);
  EXPECT_GT(head.Error(head.Run({}), 1e-4), 10 * kBound);
}

TEST_P(SsdTest, BitsDoNotDependOnCuts) {
  for (const float strength : kStrengths) {
    for (const auto& [p, n] : {std::pair{64, 128}, {24, 19}}) {
      const Head head(Table(), 201, p, n, strength);
      Floats left;
      const Floats whole = head.Run({}, &left);
      std::vector<std::int64_t> each;
      for (std::int64_t t = 1; t < 201; ++t) each.push_back(t);
      for (const auto& cuts : {std::vector<std::int64_t>{64}, {63, 65, 130}, {200}, each}) {
        Floats state;
        EXPECT_EQ(std::memcmp(head.Run(cuts, &state).data(), whole.data(), whole.size() * 4), 0);
        const auto bytes = At(PadLanes(p) * n + 1) * 4;  // with the scale, without what pads it
        EXPECT_EQ(std::memcmp(state.data(), left.data(), bytes), 0) << strength;
      }
      if (strength > 1) continue;  // too little is left of a token before
      // The comparison sees one decay that is off by little.
      Head other = head;
      other.decay(100) *= 0.9999F;
      EXPECT_NE(std::memcmp(other.Run({}).data(), whole.data(), whole.size() * 4), 0);
    }
  }
}

/// What is not a number stays visible, and a decay of 0 forgets everything before.
TEST_P(SsdTest, DecaysThatEndTheState) {
  Head head(Table(), 90, 16, 32, 0.5F);
  head.decay(70) = 0;
  const Floats y = head.Run({});
  EXPECT_LT(head.Error(y), kBound);
  head.decay(80) = NAN;
  const Floats bad = head.Run({});
  EXPECT_EQ(std::memcmp(bad.data(), y.data(), 80 * 16 * 4), 0);
  for (std::size_t i = At(80 * 16); i < bad.size(); ++i) EXPECT_TRUE(std::isnan(bad[i])) << i;
}

INSTANTIATE_TEST_SUITE_P(All, SsdTest, ::testing::Range(0, AllKernels().count), TableName);

}  // namespace
}  // namespace h1bench::cpu

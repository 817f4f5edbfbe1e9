// The attention of every instruction set that this machine has, called directly: right against
// float64, and the same bits for a query whatever queries are computed with it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/vector/table.h"

namespace h1bench::cpu {
namespace {

std::size_t At(std::int64_t i) { return static_cast<std::size_t>(i); }

/// `keys` positions of one kv head and queries for all of them, `heads` at each position.
class Sequence {
 public:
  Sequence(const VectorKernels& table, bool bf16, std::int64_t keys, std::int64_t heads,
           std::int64_t head_dim)
      : table_(table), bf16_(bf16), keys_(keys), heads_(heads), hd_(head_dim) {
    std::mt19937 random(static_cast<std::uint32_t>(keys * 31 + head_dim));
    std::normal_distribution<float> normal;
    const auto draw = [&](std::int64_t count) {
      std::vector<float> out(At(count));
      for (float& v : out) v = bf16 ? FromBf16(ToBf16(normal(random))) : normal(random);
      return out;
    };
    q_ = draw(keys * heads * head_dim);
    k_ = draw(keys * head_dim);
    v_ = draw(keys * head_dim);
  }
  float& value(std::int64_t key, std::int64_t i) { return v_[At(key * hd_ + i)]; }

  /// Output of the queries of positions [first, first + rows), (rows, heads, hd), given the keys
  /// before `end`; what lies behind those in the blocks is not a number.
  std::vector<float> Run(std::int64_t first, std::int64_t rows, std::int64_t end) const {
    const std::vector<std::vector<std::byte>> blocks = Blocks(end);
    std::vector<const void*> places;
    for (const auto& block : blocks) places.push_back(block.data());
    std::vector<float> scratch(At(AttentionScratch(heads_, hd_)), NAN);
    std::vector<float> out(At(rows * heads_ * hd_), NAN);
    AttentionArgs args{};
    args.q = q_.data() + first * heads_ * hd_;
    args.q_stride = args.out_stride = heads_ * hd_;
    args.rows = rows, args.heads = heads_, args.head_dim = hd_;
    args.first_position = first;
    args.blocks = places.data();
    args.kv_bf16 = bf16_;
    args.scale = Scale();
    args.out_scale = 1.5F;
    args.out = reinterpret_cast<unsigned char*>(out.data());
    args.kind = ActKind::kF32;
    args.scratch = scratch.data();
    table_.attention(args);
    return out;
  }

  /// Rows from 0 on against sums in float64; the largest difference.
  double Error(const std::vector<float>& out) const {
    double worst = 0;
    const auto rows = static_cast<std::int64_t>(out.size()) / (heads_ * hd_);
    for (std::int64_t query = 0; query < rows * heads_; ++query) {
      const std::vector<double> wanted = Wanted(query, query / heads_ + 1);
      for (std::int64_t i = 0; i < hd_; ++i) {
        const auto got = static_cast<double>(out[At(query * hd_ + i)]);
        worst = std::isnan(got) ? 1e9 : std::max(worst, std::abs(got - wanted[At(i)]));
      }
    }
    return worst;
  }

 private:
  float Scale() const { return 1.0F / std::sqrt(static_cast<float>(hd_)); }

  std::vector<double> Wanted(std::int64_t query, std::int64_t keys) const {
    std::vector<double> out(At(hd_));
    double sum = 0;
    for (std::int64_t key = 0; key < keys; ++key) {
      double score = 0;
      for (std::int64_t i = 0; i < hd_; ++i)
        score += static_cast<double>(q_[At(query * hd_ + i)]) *
                 static_cast<double>(k_[At(key * hd_ + i)]);
      const double weight = std::exp(score * static_cast<double>(Scale()));
      sum += weight;
      for (std::int64_t i = 0; i < hd_; ++i)
        out[At(i)] += weight * static_cast<double>(v_[At(key * hd_ + i)]);
    }
    for (double& v : out) v *= 1.5 / sum;
    return out;
  }

  /// As table.h says of kKvBlock.
  std::vector<std::vector<std::byte>> Blocks(std::int64_t end) const {
    const std::int64_t padded = PadLanes(hd_), step = bf16_ ? table_.kv_step : 1;
    std::vector<std::vector<std::byte>> blocks(At((end + kKvBlock - 1) / kKvBlock));
    for (auto& block : blocks) {
      block.resize(At(kKvBlock * (hd_ + padded) * (bf16_ ? 2 : 4)));
      std::ranges::fill(block, std::byte{0xFF});  // NaN of both types
    }
    const auto put = [&](std::int64_t key, std::int64_t place, float value) {
      std::byte* to = blocks[At(key / kKvBlock)].data();
      const std::uint16_t bits = ToBf16(value);
      if (bf16_) std::memcpy(to + place * 2, &bits, 2);
      if (!bf16_) std::memcpy(to + place * 4, &value, 4);
    };
    for (std::int64_t key = 0; key < (end + step - 1) / step * step; ++key) {
      const std::int64_t lane = key % kKvBlock,
                         values = kKvBlock * hd_ + lane / step * step * padded;
      for (std::int64_t i = 0; i < padded; ++i) {
        const bool real = key < end && i < hd_;  // the last one's partner: 0
        put(key, values + i * step + lane % step, real ? v_[At(key * hd_ + i)] : 0);
        if (real) put(key, (i / step * kKvBlock + lane) * step + i % step, k_[At(key * hd_ + i)]);
      }
    }
    return blocks;
  }

  const VectorKernels& table_;
  bool bf16_;
  std::int64_t keys_, heads_, hd_;
  std::vector<float> q_, k_, v_;
};

class AttentionTest : public ::testing::TestWithParam<std::tuple<int, bool>> {
 protected:
  static const VectorKernels& Table() { return *AllKernels().tables[std::get<0>(GetParam())]; }
  static bool Bf16() { return std::get<1>(GetParam()); }
  /// Outputs are of size 1. Queries and weights in bf16 carry 8 bits.
  static double Bound() { return Bf16() && Table().kv_step == 2 ? 2e-2 : 1e-5; }
};

TEST_P(AttentionTest, EqualsFloat64) {
  for (const std::int64_t head_dim : {2, 24, 64, 128}) {
    for (const std::int64_t heads : {1, 3, 4}) {
      const Sequence sequence(Table(), Bf16(), 32, heads, head_dim);
      for (const std::int64_t rows : {1, 2, 17, 32})
        EXPECT_LT(sequence.Error(sequence.Run(0, rows, rows)), Bound()) << head_dim << ", " << rows;
    }
  }
}

TEST_P(AttentionTest, AWrongValueShows) {
  Sequence sequence(Table(), Bf16(), 32, 4, 64);
  const std::vector<float> out = sequence.Run(0, 32, 32);
  sequence.value(3, 40) += 1;
  EXPECT_GT(sequence.Error(out), 5 * Bound());
}

/// Also over tiles of 128 keys, and with keys behind a query that its neighbours see.
TEST_P(AttentionTest, AQuerysBitsDoNotDependOnTheOthers) {
  constexpr std::int64_t kKeys = 290, kHeads = 4, kHd = 64;
  const Sequence sequence(Table(), Bf16(), kKeys, kHeads, kHd);
  std::vector<float> all;
  for (std::int64_t first = 0; first < kKeys; first += kQueryRows) {
    const std::vector<float> some = sequence.Run(first, std::min(kQueryRows, kKeys - first), kKeys);
    all.insert(all.end(), some.begin(), some.end());
  }
  EXPECT_LT(sequence.Error(all), Bound());
  for (const std::int64_t rows : {1, 2, 3, 5, 16, 31}) {
    for (std::int64_t first = 0; first + rows <= kKeys; first += rows == 1 ? 1 : 23) {
      const std::vector<float> some = sequence.Run(first, rows, first + rows);
      ASSERT_EQ(std::memcmp(some.data(), all.data() + first * kHeads * kHd, some.size() * 4), 0)
          << rows << " rows from " << first;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, AttentionTest,
                         ::testing::Combine(::testing::Range(0, AllKernels().count),
                                            ::testing::Bool()),
                         [](const auto& given) {
                           std::string name = AllKernels().tables[std::get<0>(given.param)]->name;
                           std::ranges::replace_if(
                               name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
                           return name + (std::get<1>(given.param) ? "_bf16" : "_fp32");
                         });

}  // namespace
}  // namespace h1bench::cpu

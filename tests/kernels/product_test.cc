// The products of every instruction set that this machine has, called directly: right, and the same
// bits for a row whatever rows are computed with it.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/vector/table.h"

namespace h1bench::cpu {
namespace {

/// One panel of `columns` columns and random rows for it, in one of a table's two products.
class Panel {
 public:
  Panel(const VectorKernels& table, bool bf16, std::int64_t rows, std::int64_t k)
      : table_(table), bf16_(bf16), rows_(rows), k_(k) {
    std::mt19937 random(static_cast<std::uint32_t>(k * 31 + rows));
    std::normal_distribution<float> normal;
    const auto draw = [&](std::int64_t count) {
      std::vector<float> out(static_cast<std::size_t>(count));
      for (float& v : out) v = bf16 ? FromBf16(ToBf16(normal(random))) : normal(random);
      return out;
    };
    in_ = draw(rows * k);
    weight_ = draw(columns() * k);
  }
  std::int64_t columns() const { return table_.panel_columns; }
  float& weight(std::int64_t column, std::int64_t i) { return weight_[Index(column * k_ + i)]; }

  /// Rows [first, first + rows) by the first `width` columns; what lies behind them stays NaN.
  std::vector<float> Run(std::int64_t first, std::int64_t rows, std::int64_t width) const {
    const std::vector<std::byte> in = Rows(), panel = Packed();
    const ActKind kind = bf16_ ? table_.bf16_kind : ActKind::kF32;
    std::vector<float> out(Index(rows * (width + 3)), NAN);
    const ProductArgs args{
        in.data() + first * k_ * ActBytes(kind), rows,       k_,        panel.data(),
        rows % 2 == 0 ? panel.data() : nullptr,  out.data(), width + 3, width};
    (bf16_ ? table_.product_bf16 : table_.product_f32)(args);
    return out;
  }

  /// Differences from sums in double, as shares of the sum of the products' sizes: the largest.
  double Error(const std::vector<float>& out, std::int64_t width) const {
    double worst = 0;
    for (std::int64_t row = 0; row < rows_; ++row) {
      for (std::int64_t column = 0; column < width; ++column) {
        double sum = 0, size = 0;
        for (std::int64_t i = 0; i < k_; ++i) {
          const double product = static_cast<double>(in_[Index(row * k_ + i)]) *
                                 static_cast<double>(weight_[Index(column * k_ + i)]);
          sum += product;
          size += std::abs(product);
        }
        const double got = static_cast<double>(out[Index(row * (width + 3) + column)]);
        worst = std::max(worst, std::isnan(got) ? 1.0 : std::abs(got - sum) / size);
      }
    }
    return worst;
  }

 private:
  static std::size_t Index(std::int64_t i) { return static_cast<std::size_t>(i); }

  std::vector<std::byte> Rows() const {
    const ActKind kind = bf16_ ? table_.bf16_kind : ActKind::kF32;
    std::vector<std::byte> out(Index(rows_ * k_ * ActBytes(kind)));
    const TensorView view{DType::kF32, {rows_, k_}, std::as_bytes(std::span(in_))};
    Convert(view, 0, rows_ * k_, kind, out.data());
    return out;
  }
  /// As ProductArgs::panel says.
  std::vector<std::byte> Packed() const {
    const std::int64_t step = bf16_ && table_.bf16_kind == ActKind::kBf16 ? 2 : 1;
    const std::int64_t numbers = (k_ + step - 1) / step * step * columns();
    std::vector<std::byte> out(Index(numbers * (bf16_ ? 2 : 4)));
    for (std::int64_t column = 0; column < columns(); ++column) {
      for (std::int64_t i = 0; i < k_; ++i) {
        const float value = weight_[Index(column * k_ + i)];
        const std::int64_t at = i / step * step * columns() + column * step + i % step;
        const std::uint16_t bits = ToBf16(value);
        if (bf16_) std::memcpy(out.data() + at * 2, &bits, 2);
        if (!bf16_) std::memcpy(out.data() + at * 4, &value, 4);
      }
    }
    return out;
  }

  const VectorKernels& table_;
  bool bf16_;
  std::int64_t rows_, k_;
  std::vector<float> in_, weight_;
};

class ProductTest : public ::testing::TestWithParam<std::tuple<int, bool>> {
 protected:
  static const VectorKernels& Table() { return *AllKernels().tables[std::get<0>(GetParam())]; }
  static bool Bf16() { return std::get<1>(GetParam()); }
};

constexpr double kBound = 2e-6;  // of a sum of 1 025 products in fp32

TEST_P(ProductTest, EqualsSumsInDouble) {
  for (const std::int64_t k : {1, 2, 3, 77, 256, 1025}) {
    for (const std::int64_t rows : {1, 2, 5, 6, 7, 13, 49}) {
      const Panel panel(Table(), Bf16(), rows, k);
      for (const std::int64_t width : {panel.columns(), panel.columns() - 5}) {
        const std::vector<float> out = panel.Run(0, rows, width);
        EXPECT_LT(panel.Error(out, width), kBound) << rows << " rows, k " << k;
        for (std::int64_t row = 0; row < rows; ++row)  // nothing is written past the width
          EXPECT_TRUE(std::isnan(out[static_cast<std::size_t>(row * (width + 3) + width)]));
      }
    }
  }
}

TEST_P(ProductTest, AWrongWeightShows) {
  for (const std::int64_t k : {77, 1025}) {
    Panel panel(Table(), Bf16(), 3, k);
    const std::vector<float> out = panel.Run(0, 3, panel.columns());
    panel.weight(panel.columns() - 1, k - 1) += 0.25F;
    EXPECT_GT(panel.Error(out, panel.columns()), 10 * kBound) << k;
  }
}

TEST_P(ProductTest, ARowsBitsDoNotDependOnTheOthers) {
  constexpr std::int64_t kRows = 121;
  for (const std::int64_t k : {33, 1024, 2050}) {
    const Panel panel(Table(), Bf16(), kRows, k);
    const std::vector<float> all = panel.Run(0, kRows, panel.columns());
    for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 11, 16, 25, 48, 49, 100}) {
      for (const std::int64_t first : {std::int64_t{0}, kRows - rows}) {
        const std::vector<float> some = panel.Run(first, rows, panel.columns());
        const float* same = all.data() + first * (panel.columns() + 3);
        for (std::int64_t row = 0; row < rows; ++row) {
          const std::int64_t at = row * (panel.columns() + 3);
          ASSERT_EQ(std::memcmp(some.data() + at, same + at,
                                static_cast<std::size_t>(panel.columns()) * 4),
                    0)
              << "k " << k << ", rows " << rows << " from " << first;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ProductTest,
                         ::testing::Combine(::testing::Range(0, AllKernels().count),
                                            ::testing::Bool()),
                         [](const auto& given) {
                           std::string name = AllKernels().tables[std::get<0>(given.param)]->name;
                           for (char& c : name)
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           return name + (std::get<1>(given.param) ? "_bf16" : "_fp32");
                         });

}  // namespace
}  // namespace h1bench::cpu

// Matrix products: right, and the same bits for every number of rows and threads.
#include "kernels/cpu/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/threads.h"

namespace h1bench::cpu {
namespace {

struct Shape {
  std::int64_t n, k;
};

class LinearTest : public ::testing::TestWithParam<ActKind> {
 protected:
  /// A random weight and rows, as fp32 values that the kind can hold.
  void Make(Shape shape, std::int64_t rows) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    const auto draw = [&](std::vector<float>& out, std::int64_t size) {
      out.resize(static_cast<std::size_t>(size));
      for (float& v : out)
        v = GetParam() == ActKind::kF32 ? normal(random) : FromBf16(ToBf16(normal(random)));
    };
    draw(weight_, shape.n * shape.k);
    draw(in_, rows * shape.k);
    const TensorView view{DType::kF32, {shape.n, shape.k}, std::as_bytes(std::span(weight_))};
    const MatrixPart part{&view, 0, 0};
    linear_ = Linear(shape.n, shape.k, std::span(&part, 1), GetParam());
    act_ = Buffer(rows * shape.k * ActBytes(GetParam()));
    const TensorView rows_view{DType::kF32, {rows, shape.k}, std::as_bytes(std::span(in_))};
    Convert(rows_view, 0, rows * shape.k, GetParam(), act_.data());
  }
  std::vector<float> Run(Shape shape, std::int64_t rows) {
    std::vector<float> out(static_cast<std::size_t>(rows * shape.n));
    linear_.Run(act_.data(), out.data(), rows);
    return out;
  }
  Linear linear_;
  std::vector<float> weight_, in_;
  Buffer act_;
};

TEST_P(LinearTest, EqualsPlainSums) {
  const Shape shape{242, 80};
  Make(shape, 5);
  const std::vector<float> out = Run(shape, 5);
  for (std::int64_t row = 0; row < 5; ++row) {
    for (std::int64_t n = 0; n < shape.n; ++n) {
      double sum = 0;
      for (std::int64_t k = 0; k < shape.k; ++k) {
        sum += static_cast<double>(in_[static_cast<std::size_t>(row * shape.k + k)]) *
               static_cast<double>(weight_[static_cast<std::size_t>(n * shape.k + k)]);
      }
      EXPECT_NEAR(static_cast<double>(out[static_cast<std::size_t>(row * shape.n + n)]), sum, 1e-4);
    }
  }
}

TEST_P(LinearTest, BitsDoNotDependOnRowsOrThreads) {
  for (const Shape shape :
       {Shape{242, 48}, Shape{48, 112}, Shape{300, 48}, Shape{4120, 1024}, Shape{1024, 2048}}) {
    Make(shape, 513);
    const std::vector<float> reference = Run(shape, 513);
    for (const int threads : {1, 2}) {
      ThreadPool pool(threads);
      const ThreadScope scope(pool);
      for (const std::int64_t rows : {1, 2, 3, 7, 16, 17, 64, 100, 513}) {
        const std::vector<float> out = Run(shape, rows);
        EXPECT_EQ(std::memcmp(out.data(), reference.data(), out.size() * 4), 0)
            << shape.n << "x" << shape.k << " rows " << rows << " threads " << threads;
      }
    }
  }
}

/// Four parts: rows that end inside a panel, and two columns of parts that meet at an odd k.
TEST_P(LinearTest, PartsLieWhereTheyBelong) {
  constexpr std::int64_t kN = 150, kK = 65, kSplitN = 99, kSplitK = 33;
  Make({kN, kK}, 4);
  std::vector<float> parts[4];
  for (std::int64_t n = 0; n < kN; ++n) {
    for (std::int64_t k = 0; k < kK; ++k) {
      parts[(n < kSplitN ? 0 : 2) + (k < kSplitK ? 0 : 1)].push_back(
          weight_[static_cast<std::size_t>(n * kK + k)]);
    }
  }
  std::vector<TensorView> views;
  std::vector<MatrixPart> places;
  for (int i = 0; i < 4; ++i) {
    views.push_back({DType::kF32,
                     {i < 2 ? kSplitN : kN - kSplitN, i % 2 == 0 ? kSplitK : kK - kSplitK},
                     std::as_bytes(std::span(parts[i]))});
  }
  for (std::size_t i = 0; i < 4; ++i)
    places.push_back({&views[i], i < 2 ? 0 : kSplitN, i % 2 == 0 ? 0 : kSplitK});
  const std::vector<float> whole = Run({kN, kK}, 4);
  linear_ = Linear(kN, kK, places, GetParam());
  EXPECT_EQ(Run({kN, kK}, 4), whole);
  places[1].column -= 1;  // planted: one column too early
  linear_ = Linear(kN, kK, places, GetParam());
  EXPECT_NE(Run({kN, kK}, 4), whole);
}

TEST_P(LinearTest, BytesAreAsPlanned) {
  for (const Shape shape : {Shape{242, 48}, Shape{48, 112}, Shape{1024, 2048}}) {
    Make(shape, 1);
    EXPECT_EQ(linear_.bytes(), PackedBytes(shape.n, shape.k, GetParam()))
        << shape.n << "x" << shape.k;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, LinearTest, ::testing::Values(ActKind::kF32, Kernels().bf16_kind),
                         [](const auto& given) {
                           return given.param == ActKind::kF32 ? "fp32" : "bf16";
                         });

TEST(Convert, Bf16RoundsToNearestEven) {
  EXPECT_EQ(ToBf16(1.0F), 0x3F80);
  EXPECT_EQ(ToBf16(1.00390625F), 0x3F80);  // half way between 0x3F80 and 0x3F81: to even
  EXPECT_EQ(ToBf16(1.01171875F), 0x3F82);  // half way between 0x3F81 and 0x3F82: to even
  EXPECT_EQ(ToBf16(1.00390637F), 0x3F81);  // just above half way
  EXPECT_TRUE(std::isnan(FromBf16(ToBf16(NAN))));
  EXPECT_EQ(ToBf16(-INFINITY), 0xFF80);
}

TEST(Convert, F16IsExact) {
  EXPECT_EQ(FromF16(0x3C00), 1.0F);
  EXPECT_EQ(FromF16(0xC500), -5.0F);
  EXPECT_EQ(FromF16(0x0001), std::ldexp(1.0F, -24));  // smallest subnormal
  EXPECT_EQ(FromF16(0x7BFF), 65504.0F);
  EXPECT_TRUE(std::isinf(FromF16(0x7C00)));
}

}  // namespace
}  // namespace h1bench::cpu

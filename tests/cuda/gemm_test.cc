// Every matrix kernel against a float64 product, at sizes around its tiles, and against itself: a
// number's bits must not depend on the tile or on how many rows are multiplied.
#include "kernels/cuda/gemm.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "kernels/common/convert.h"
#include "tests/cuda/card.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

/// Inputs, weights and a float64 product; vectors for the epilogues.
struct Problem {
  std::int64_t rows, n, k, ldi;
  bool bf16;
  std::vector<float> in, weight, scale, bias, old;  // in (rows, k), weight (n, k), old (rows, n)
  DeviceMemory d_in, d_weight, d_scale, d_bias, d_out;

  Problem(std::int64_t rows_, std::int64_t n_, std::int64_t k_, bool bf16_)
      : rows(rows_), n(n_), k(k_), ldi(RoundUp(k_, kPadK)), bf16(bf16_) {
    std::mt19937 random(static_cast<std::uint32_t>(rows * 7919 + n * 31 + k));
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& v, std::int64_t size) {
      v.resize(static_cast<std::size_t>(size));
      for (float& x : v) {
        x = normal(random);
        if (bf16) x = common::FromBf16(common::ToBf16(x));
      }
    };
    fill(in, rows * k), fill(weight, n * k), fill(scale, n), fill(bias, n), fill(old, rows * n);
    d_in = Upload(in, rows, k, rows);
    d_weight = Upload(weight, n, k, RoundUp(n, kPadN));
    d_scale = Floats(scale), d_bias = Floats(bias);
    d_out = *DeviceMemory::Allocate(rows * n * 4);
  }

  /// (rows, columns) padded with zeros to (padded_rows, RoundUp(columns, kPadK)).
  DeviceMemory Upload(const std::vector<float>& v, std::int64_t count, std::int64_t columns,
                      std::int64_t padded_rows) const {
    const std::int64_t width = RoundUp(columns, kPadK), element = bf16 ? 2 : 4;
    std::vector<std::byte> bytes(static_cast<std::size_t>(padded_rows * width * element));
    for (std::int64_t r = 0; r < count; ++r) {
      for (std::int64_t c = 0; c < columns; ++c) {
        const float x = v[static_cast<std::size_t>(r * columns + c)];
        std::byte* to = bytes.data() + (r * width + c) * element;
        const std::uint16_t half = common::ToBf16(x);
        bf16 ? std::memcpy(to, &half, 2) : std::memcpy(to, &x, 4);
      }
    }
    DeviceMemory out = *DeviceMemory::Allocate(static_cast<std::int64_t>(bytes.size()));
    CopyToDevice(out.bytes(), bytes.data(), out.size(), {});
    return out;
  }
  static DeviceMemory Floats(const std::vector<float>& v) {
    DeviceMemory out = *DeviceMemory::Allocate(static_cast<std::int64_t>(v.size() * 4));
    CopyToDevice(out.bytes(), v.data(), out.size(), {});
    return out;
  }

  GemmArgs Args(Epilogue epilogue) const {
    GemmArgs args;
    args.in = d_in.bytes(), args.weight = d_weight.bytes();
    args.rows = rows, args.n = n, args.k = k, args.ldi = ldi;
    args.epilogue = epilogue;
    args.out = d_out.bytes(), args.ldo = n;
    args.scale = d_scale.as<float>(), args.bias = d_bias.as<float>();
    return args;
  }
  using Kernel = std::function<void(const GemmArgs&)>;
  std::vector<float> Run(const Kernel& kernel, Epilogue epilogue) {
    CopyToDevice(d_out.bytes(), old.data(), d_out.size(), {});
    kernel(Args(epilogue));
    std::vector<float> out(static_cast<std::size_t>(rows * n));
    CopyToHost(out.data(), d_out.bytes(), d_out.size(), {});
    Synchronize({});
    const Status status = TakeError();
    EXPECT_TRUE(status.ok()) << status.message();
    return out;
  }
  double Reference(std::int64_t row, std::int64_t column, Epilogue epilogue) const {
    double sum = 0;
    for (std::int64_t i = 0; i < k; ++i)
      sum += static_cast<double>(in[static_cast<std::size_t>(row * k + i)]) *
             static_cast<double>(weight[static_cast<std::size_t>(column * k + i)]);
    const auto c = static_cast<std::size_t>(column);
    if (epilogue == Epilogue::kAdd)
      return static_cast<double>(old[static_cast<std::size_t>(row * n + column)]) + sum +
             static_cast<double>(bias[c]);
    return sum * static_cast<double>(scale[c]) + static_cast<double>(bias[c]);
  }
};

void ExpectClose(const Problem& p, const std::vector<float>& got, Epilogue epilogue) {
  const double bound = 1e-5 * std::sqrt(static_cast<double>(p.k)) * 4;
  double worst = 0;
  for (std::int64_t r = 0; r < p.rows; ++r) {
    for (std::int64_t c = 0; c < p.n; ++c) {
      const double delta =
          std::abs(static_cast<double>(got[static_cast<std::size_t>(r * p.n + c)]) -
                   p.Reference(r, c, epilogue));
      worst = std::isnan(delta) ? INFINITY : std::max(worst, delta);
    }
  }
  EXPECT_LE(worst, bound) << p.rows << " x " << p.n << " x " << p.k;
}

/// Every width, and heights below, at and above the 64 rows that a warpgroup has.
constexpr WgmmaTile kTiles[] = {{16, 16}, {16, 128}, {32, 48},   {64, 32},  {64, 80},
                                {64, 64}, {128, 48}, {128, 112}, {256, 64}, {256, 128}};

struct Named {
  const char* name;
  bool bf16;
  Problem::Kernel run;
};
std::vector<Named> Kernels() {
  std::vector<Named> out = {
      {"plain fp32", false, [](const GemmArgs& a) { GemmPlain(a, false, {}); }},
      {"plain bf16", true, [](const GemmArgs& a) { GemmPlain(a, true, {}); }},
      {"mma", true, [](const GemmArgs& a) { GemmMma(a, {}); }}};
  if (testing::HasWgmma()) {
    for (const WgmmaTile& tile : kTiles)
      out.push_back({"wgmma", true, [tile](const GemmArgs& a) { GemmWgmma(a, tile, {}); }});
  }
  return out;
}

TEST(CudaKernels, ProductsAgreeWithFloat64) {
  const std::vector<std::array<std::int64_t, 3>> sizes = {
      {1, 1, 1},     {1, 128, 64},   {15, 63, 65},   {16, 64, 16},  {17, 65, 17},   {31, 127, 63},
      {32, 128, 64}, {33, 129, 128}, {63, 16, 192},  {64, 8, 15},   {65, 130, 200}, {127, 47, 64},
      {129, 49, 64}, {255, 112, 64}, {256, 113, 64}, {257, 24, 64}, {300, 136, 64}};
  for (const Named& kernel : Kernels()) {
    SCOPED_TRACE(kernel.name);
    for (const auto& [rows, n, k] : sizes) {
      Problem p(rows, n, k, kernel.bf16);
      for (const Epilogue epilogue : {Epilogue::kStore, Epilogue::kAdd})
        ExpectClose(p, p.Run(kernel.run, epilogue), epilogue);
    }
  }
}

/// The comparison must see one wrong weight.
TEST(CudaKernels, OneWrongWeightIsSeen) {
  Problem p(33, 129, 128, true);
  p.weight[5] += 0.25F;
  const std::vector<float> got = p.Run([](const GemmArgs& a) { GemmMma(a, {}); }, Epilogue::kStore);
  EXPECT_GT(std::abs(static_cast<double>(got[0]) - p.Reference(0, 0, Epilogue::kStore)), 1e-3);
}

/// Rows of a product of 130 rows are those of each row alone, in every tile; with rows of results
/// that the copy engine can address (132) and that it cannot.
TEST(CudaKernels, BitsDoNotDependOnTheTile) {
  for (const auto& [n, epilogue] : {std::pair<std::int64_t, Epilogue>{129, Epilogue::kStore},
                                    {132, Epilogue::kStore},
                                    {132, Epilogue::kAdd}}) {
    Problem p(130, n, 192, true);
    for (const Named& kernel : Kernels()) {
      if (!kernel.bf16) continue;
      SCOPED_TRACE(kernel.name);
      const std::vector<float> all = p.Run(kernel.run, epilogue);
      for (const std::int64_t count : {1, 2, 17, 33, 100}) {
        const std::vector<float> some = p.Run(
            [&](GemmArgs a) {
              a.rows = count;
              kernel.run(a);
            },
            epilogue);
        EXPECT_EQ(std::memcmp(all.data(), some.data(), static_cast<std::size_t>(count * n) * 4), 0)
            << count;
        EXPECT_EQ(std::memcmp(p.old.data() + count * n, some.data() + count * n,
                              static_cast<std::size_t>((130 - count) * n) * 4),
                  0)
            << "rows past the end were written";
      }
    }
    if (!testing::HasWgmma()) continue;
    const std::vector<float> wide = p.Run(
        [](const GemmArgs& a) {
          GemmWgmma(a, {256, 128}, {});
        },
        epilogue);
    for (const int tokens : {16, 32, 64, 128, 256}) {
      for (const int weights : {8, 24, 64, 72, 128}) {
        const WgmmaTile tile{tokens, weights};
        if (!IsWgmmaTile(tile, epilogue)) continue;
        const std::vector<float> other =
            p.Run([&](const GemmArgs& a) { GemmWgmma(a, tile, {}); }, epilogue);
        EXPECT_EQ(std::memcmp(wide.data(), other.data(), wide.size() * 4), 0)
            << tokens << " tokens by " << weights;
      }
    }
  }
}

/// The choice is one that the kernel takes, and spreads a decode step's products over the card.
TEST(CudaKernels, EveryChosenTileIsOne) {
  for (const Epilogue epilogue : {Epilogue::kStore, Epilogue::kAdd, Epilogue::kSwiGlu}) {
    for (const std::int64_t rows : {1, 16, 17, 64, 65, 200, 256, 300, 1024, 1025, 16384}) {
      for (const std::int64_t n : {16, 1024, 3072, 8728, 24576, 130048}) {
        GemmArgs args;
        args.rows = rows, args.n = n, args.k = 3072, args.epilogue = epilogue;
        const WgmmaTile tile = WgmmaTileFor(args);
        EXPECT_TRUE(IsWgmmaTile(tile, epilogue)) << rows << " " << n;
        if (n == 3072 && rows >= 64 && rows <= 256) {
          EXPECT_GE(CeilDiv(n, tile.weights) * CeilDiv(rows, tile.tokens), 64) << rows;
        }
        if (rows > 1024) {
          EXPECT_EQ(tile.tokens, 256);
        }
      }
    }
  }
}

/// SwiGLU: rows of gate and up in eights.
TEST(CudaKernels, SwiGlu) {
  const std::int64_t rows = 19, width = 40, k = 72;
  for (const Named& kernel : Kernels()) {
    SCOPED_TRACE(kernel.name);
    Problem p(rows, 2 * width, k, kernel.bf16);
    const std::int64_t element = kernel.bf16 ? 2 : 4;
    std::vector<std::byte> bytes(static_cast<std::size_t>(rows * width * element));
    GemmArgs args = p.Args(Epilogue::kSwiGlu);
    args.ldo = args.columns = width;
    args.bias = args.scale = nullptr;
    args.factor = 0.5F;
    kernel.run(args);
    CopyToHost(bytes.data(), p.d_out.bytes(), static_cast<std::int64_t>(bytes.size()), {});
    Synchronize({});
    p.scale.assign(p.scale.size(), 1.0F), p.bias.assign(p.bias.size(), 0.0F);
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t i = 0; i < width; ++i) {
        const double gate = p.Reference(r, SwiGluRow(i), Epilogue::kStore) * 0.5;
        const double expected =
            p.Reference(r, SwiGluRow(i) + 8, Epilogue::kStore) * gate / (1 + std::exp(-gate));
        float got = 0;
        std::uint16_t half = 0;
        const std::byte* from = bytes.data() + (r * width + i) * element;
        if (kernel.bf16) {
          std::memcpy(&half, from, 2);
          got = common::FromBf16(half);
        } else {
          std::memcpy(&got, from, 4);
        }
        ASSERT_NEAR(static_cast<double>(got), expected,
                    (kernel.bf16 ? 5e-3 : 1e-4) * (1 + std::abs(expected)))
            << r << " " << i;
      }
    }
  }
}

}  // namespace
}  // namespace h1bench::H1_CUDA_NAMESPACE

// Every scan kernel against the recurrence in float64 on the same inputs, token by token; and the
// comparison itself against planted mistakes.
#include "kernels/cuda/scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "tests/cuda/stage_fixture.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

ModelShape Shape(std::int64_t heads, std::int64_t head_dim, std::int64_t groups,
                 std::int64_t state) {
  ModelShape s;
  s.vocab = 32, s.hidden = 64, s.intermediate = 64, s.layers = 2;
  s.heads = s.kv_heads = 1, s.head_dim = 8;
  s.ssm_heads = heads, s.ssm_head_dim = head_dim, s.ssm_inner = heads * head_dim;
  s.ssm_groups = groups, s.ssm_state = state, s.conv_taps = 4;
  s.gated_norm = true;  // y leaves as it is
  return s;
}

/// One sequence's inputs in layer 1 of two, and y as float64 says.
struct Problem {
  ModelShape shape;
  std::int64_t tokens;
  std::vector<float> conv, dt, a, skip;  // conv (tokens, channels): x, B, C
  std::vector<double> y;                 // (tokens, inner)

  Problem(const ModelShape& s, std::int64_t count) : shape(s), tokens(count) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    std::uniform_real_distribution<float> step(0.01F, 0.4F);
    conv.resize(static_cast<std::size_t>(tokens * s.conv_channels()));
    for (float& v : conv) v = testing::Rounded(normal(random));
    dt.resize(static_cast<std::size_t>(tokens * s.ssm_heads));
    for (float& v : dt) v = step(random);
    for (std::int64_t h = 0; h < s.ssm_heads; ++h) {
      a.push_back(-0.2F * static_cast<float>(1 + h));
      skip.push_back(normal(random));
    }
    Recur();
  }
  double Conv(std::int64_t t, std::int64_t column) const {
    return conv[static_cast<std::size_t>(t * shape.conv_channels() + column)];
  }
  double Step(std::int64_t t, std::int64_t head) const {
    return dt[static_cast<std::size_t>(t * shape.ssm_heads + head)];
  }
  void Recur() {
    y.assign(static_cast<std::size_t>(tokens * shape.ssm_inner), 0);
    for (std::int64_t i = 0; i < shape.ssm_inner; ++i) {
      const std::int64_t head = i / shape.ssm_head_dim, n = shape.ssm_state;
      const std::int64_t b = shape.ssm_inner + head / (shape.ssm_heads / shape.ssm_groups) * n;
      const std::int64_t c = b + shape.ssm_groups * n;
      std::vector<double> state(static_cast<std::size_t>(n));
      for (std::int64_t t = 0; t < tokens; ++t) {
        const double step = Step(t, head), x = Conv(t, i);
        const double decay =
            std::exp(step * static_cast<double>(a[static_cast<std::size_t>(head)]));
        double sum = x * static_cast<double>(skip[static_cast<std::size_t>(head)]);
        for (std::int64_t j = 0; j < n; ++j) {
          double& h = state[static_cast<std::size_t>(j)];
          h = decay * h + step * x * Conv(t, b + j);
          sum += h * Conv(t, c + j);
        }
        y[static_cast<std::size_t>(t * shape.ssm_inner + i)] = sum;
      }
    }
  }
};

using testing::ToDevice;

using Kernel = void (*)(const StageContext&, const LayerPointers&, std::int64_t);

/// y of one call over all tokens, the first at `position`; without a gated norm, gated as it goes
/// on.
std::vector<float> Scanned(const Problem& p, Kernel kernel, bool bf16, std::int64_t position = 0) {
  StageContext c{Dims(p.shape), StateLayout(p.shape, bf16), {}, {}, bf16, {}};
  std::vector<std::uint16_t> halves;
  for (const float v : p.conv) halves.push_back(common::ToBf16(v));
  std::vector<float> decay;
  for (std::size_t i = 0; i < p.dt.size(); ++i)
    decay.push_back(std::exp(p.dt[i] * p.a[i % p.a.size()]));
  const DeviceMemory conv = c.layout.chunked ? ToDevice(halves) : ToDevice(p.conv);
  const DeviceMemory dt = ToDevice(p.dt), decays = ToDevice(decay), a = ToDevice(p.a),
                     skip = ToDevice(p.skip);
  DeviceSegment segment{};
  segment.rows = static_cast<std::int32_t>(p.tokens);
  segment.position = position;
  const DeviceMemory segments = ToDevice(&segment, sizeof segment);
  std::vector<float> y(static_cast<std::size_t>(p.tokens * p.shape.ssm_inner), NAN);
  const DeviceMemory out = ToDevice(y);
  const DeviceMemory wide = ToDevice(
      std::vector<float>(static_cast<std::size_t>(p.tokens * c.dims.wide), 0.5F));  // z, unread
  c.batch.segments = segments.as<DeviceSegment>();
  c.batch.segment_count = 1, c.batch.rows = p.tokens;
  c.buffers.conv = conv.bytes(), c.buffers.dt = dt.as<float>();
  c.buffers.decay = decays.as<float>(), c.buffers.y = out.as<float>();
  c.buffers.wide = wide.as<float>();
  const std::int64_t width = RoundUp(c.dims.ssm_inner + c.dims.heads * c.dims.head_dim, kPadK);
  const DeviceMemory mixed =
      ToDevice(std::vector<float>(static_cast<std::size_t>(p.tokens * width)), true);
  c.buffers.mixed = mixed.bytes();
  LayerPointers w{};
  w.a = a.as<float>(), w.d_skip = skip.as<float>();
  kernel(c, w, 1);
  CopyToHost(y.data(), out.bytes(), out.size(), {});
  Synchronize({});
  const Status status = TakeError();
  EXPECT_TRUE(status.ok()) << status.message();
  return p.shape.gated_norm ? y : testing::FromDevice(mixed.bytes(), p.tokens * width, true);
}

/// Root of the mean squares of the difference, in those of y.
double Error(const Problem& p, const std::vector<float>& got) {
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double delta = static_cast<double>(got[i]) - p.y[i];
    error += delta * delta, norm += p.y[i] * p.y[i];
  }
  return std::isnan(error) ? INFINITY : std::sqrt(error / norm);
}

constexpr double kFp32 = 1e-6, kBf16 = 4e-3;  // one bf16 rounding is 2^-9 = 2e-3 at most

TEST(CudaScan, EveryKernelFollowsTheRecurrence) {
  for (const ModelShape& shape : {Shape(4, 64, 1, 128), Shape(4, 128, 2, 256)}) {
    for (const std::int64_t tokens : {1, 7, 8, 9, 16, 63, 64, 65, 150}) {
      SCOPED_TRACE(fmt::format("N {}, {} tokens", shape.ssm_state, tokens));
      const Problem p(shape, tokens);
      EXPECT_LE(Error(p, Scanned(p, ScanPlain, false)), kFp32);
      ASSERT_EQ(ChoosePaths(Dims(shape), false, {}).scan, Path::kScanStaged);
      EXPECT_LE(Error(p, Scanned(p, ScanStaged, false)), kFp32);
      ASSERT_TRUE(HasScanChunked(shape, true));
      const double chunked = Error(p, Scanned(p, ScanChunked, true));
      EXPECT_LE(chunked, kBf16);
      EXPECT_GT(chunked, 1e-5);  // or the products do not take bf16
      if (testing::HasWgmma()) {
        EXPECT_LE(Error(p, Scanned(p, ScanWgmma, true)), kBf16);
      }
    }
  }
}

/// Warpgroup products give the other kernel's bits, with whole chunks, begun ones and a head's
/// other half; so a prompt's pieces may take either.
TEST(CudaScan, WarpgroupProductsHaveTheSameBits) {
  if (!testing::HasWgmma()) GTEST_SKIP() << "needs a GPU of sm_90a";
  for (ModelShape shape : {Shape(4, 64, 1, 128), Shape(4, 128, 2, 256)}) {
    for (const bool gated_norm : {true, false}) {
      shape.gated_norm = gated_norm;
      for (const std::int64_t tokens : {2, 16, 63, 64, 65, 150, 200}) {
        SCOPED_TRACE(fmt::format("N {}, {} tokens", shape.ssm_state, tokens));
        const Problem p(shape, tokens);
        const std::vector<float> chunked = Scanned(p, ScanChunked, true);
        EXPECT_EQ(Scanned(p, ScanWgmma, true), chunked);
        EXPECT_EQ(Scanned(p, ScanWgmma, true, 128), chunked);
        Problem other = p;
        other.conv[static_cast<std::size_t>(shape.ssm_inner) + 3] += 1;  // one B
        EXPECT_NE(Scanned(other, ScanWgmma, true), chunked);
      }
    }
  }
}

/// Chunks lie where they lie from position 0, as far out as a context goes.
TEST(CudaScan, TheGridIsTheSameAtTheEndOfALongContext) {
  const Problem p(Shape(4, 64, 1, 128), 150);
  // Not with two heads: their rows are none that its copies can take.
  ASSERT_EQ(ChoosePaths(Dims(p.shape), false, {}).scan, Path::kScanStaged);
  const std::vector<float> near = Scanned(p, ScanChunked, true);
  EXPECT_EQ(Scanned(p, ScanChunked, true, 262144 - 192), near);
  EXPECT_EQ(Scanned(p, ScanStaged, false, 262144 - 192), Scanned(p, ScanStaged, false));
}

/// Shapes that only the first kernel takes.
TEST(CudaScan, OddShapesFollowTheRecurrence) {
  for (const ModelShape& shape : {Shape(3, 5, 1, 7), Shape(2, 25, 2, 128), Shape(2, 3, 1, 300)}) {
    EXPECT_FALSE(HasScanChunked(shape, true));
    const Problem p(shape, 20);
    EXPECT_LE(Error(p, Scanned(p, ScanPlain, false)), kFp32) << shape.ssm_state;
  }
}

/// What a slip of one token, a missing skip or the wrong head's decay would cost is far above the
/// bounds.
TEST(CudaScan, PlantedMistakesAreSeen) {
  const Problem p(Shape(2, 64, 1, 128), 100);
  Problem late = p, bare = p, swapped = p;
  std::rotate(late.dt.begin(), late.dt.begin() + 2, late.dt.end());
  bare.skip.assign(bare.skip.size(), 0);
  std::swap(swapped.a[0], swapped.a[1]);
  for (const Problem* wrong : {&late, &bare, &swapped})
    EXPECT_GT(Error(p, Scanned(*wrong, ScanChunked, true)), 4 * kBf16);
}

}  // namespace
}  // namespace h1bench::H1_CUDA_NAMESPACE

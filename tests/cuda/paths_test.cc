// The table of paths: what it chooses on every kind of card, that each stage runs the kernel that
// the table names, and every row's kernel against its stage's plain twin on the same numbers. A new
// row is compared by being in the table.
#include "kernels/cuda/paths.h"

#include <algorithm>
#include <map>
#include <ostream>

#include "runner/checkpoint/shapes.h"
#include "tests/cuda/stage_fixture.h"

namespace h1bench::H1_CUDA_NAMESPACE {

/// For the tests' names, which would show the row's bytes.
static void PrintTo(const PathRow& row, std::ostream* out) { *out << row.kernel; }

namespace {

using testing::FromDevice;
using testing::Normals;
using testing::Span;
using testing::Stage;
using testing::ToDevice;

constexpr std::int64_t kLayer = 1;

/// A model that every row of the table takes.
ModelShape Shape(bool gated_norm) {
  ModelShape s;
  s.vocab = 32, s.hidden = 132, s.intermediate = 64, s.layers = 2;
  s.heads = 6, s.kv_heads = 2, s.head_dim = 64;
  s.ssm_heads = 4, s.ssm_head_dim = 64, s.ssm_inner = 256, s.ssm_groups = 2, s.ssm_state = 128;
  s.conv_taps = 4, s.gated_norm = gated_norm;
  s.attention_out_multiplier = 0.5F, s.ssm_out_multiplier = 0.8F;
  return s;
}

/// One stage's inputs of two segments of `rows` and 3 tokens, through the kernel of one path; with
/// `slip`, with one input changed. Returns all that the stage writes.
struct Trial {
  Path path;
  bool bf16;
  std::int64_t rows;
  bool slip;

  std::vector<float> Input(std::int64_t count, std::uint32_t seed, bool rounded) const {
    std::vector<float> out = Normals(count, seed, rounded);
    if (slip) out[static_cast<std::size_t>(count / 2)] += 8.0F;
    return out;
  }
  Stage Prepare(bool gated_norm) const {
    Stage stage(Shape(gated_norm), bf16, {Span{0, rows}, Span{0, 3}});
    const auto count = stage.context.batch.rows * stage.context.dims.wide;
    stage.Fill(stage.context.buffers.wide, Normals(count, 1), false);
    return stage;
  }
  /// Columns [first, first + count) of `mixed`.
  std::vector<float> Mixed(const Stage& stage, std::int64_t first, std::int64_t count) const {
    const std::int64_t width = stage.MixedWidth(), all = stage.context.batch.rows;
    const auto mixed = FromDevice(stage.context.buffers.mixed, all * width, bf16);
    std::vector<float> out;
    for (std::int64_t r = 0; r < all; ++r)
      out.insert(out.end(), mixed.begin() + r * width + first,
                 mixed.begin() + r * width + first + count);
    return out;
  }

  std::vector<float> Products() const {
    const std::int64_t n = 132, k = 100, width = RoundUp(k, kPadK);
    const bool halves = path != Path::kGemmPlain;  // the same numbers, which bf16 holds, in fp32
    auto in = Input(rows * width, 1, true), weight = Normals(RoundUp(n, kPadN) * width, 2, true);
    for (std::size_t i = 0; i < weight.size(); ++i)
      if (static_cast<std::int64_t>(i) % width >= k) weight[i] = 0;
    const DeviceMemory in_d = ToDevice(in, halves), weight_d = ToDevice(weight, halves);
    const DeviceMemory out = ToDevice(std::vector<float>(static_cast<std::size_t>(rows * n), NAN));
    GemmArgs args;
    args.in = in_d.bytes(), args.weight = weight_d.bytes(), args.out = out.bytes();
    args.rows = rows, args.n = n, args.k = k, args.ldi = width, args.ldo = n;
    Gemm(args, path, {});
    return FromDevice<float>(out.bytes(), rows * n);
  }

  std::vector<float> Scans() const {
    Stage stage = Prepare(false);
    StageContext& c = stage.context;
    c.paths.scan = path, c.layout.chunked = path == Path::kScanWgmma || path == Path::kScanChunked;
    const std::int64_t all = c.batch.rows, heads = c.dims.ssm_heads;
    c.buffers.conv = stage.Floats(all * c.dims.channels),
    c.buffers.decay = stage.Floats(all * heads);
    stage.Fill(c.buffers.conv, Input(all * c.dims.channels, 2, true), c.layout.chunked);
    std::vector<float> dt, decay, a(static_cast<std::size_t>(heads), -0.5F);
    for (const float v : Normals(all * heads, 3)) {
      dt.push_back(0.05F + 0.1F * std::abs(v));
      decay.push_back(std::exp(-0.5F * dt.back()));
    }
    stage.Fill(c.buffers.dt, dt, false), stage.Fill(c.buffers.decay, decay, false);
    LayerPointers w{};
    w.a = stage.Keep<float>(ToDevice(a)), w.d_skip = stage.Keep<float>(ToDevice(Normals(heads, 4)));
    Scan(c, w, kLayer);
    return Mixed(stage, 0, c.dims.ssm_inner);
  }

  std::vector<float> Attention() const {
    Stage stage = Prepare(false);
    StageContext& c = stage.context;
    const Dims& d = c.dims;
    c.paths.attention = path;
    const std::int64_t all = c.batch.rows, q = d.heads * d.head_dim, kv = d.kv_heads * d.head_dim;
    stage.Fill(c.buffers.q, Normals(all * q, 2, true), bf16);
    stage.Fill(c.buffers.k, Normals(all * kv, 3, true), bf16);
    stage.Fill(c.buffers.v, Input(all * kv, 4, true), bf16);
    stage.Tiles(AttentionTileRows(Shape(false), bf16));
    Attend(c, kLayer);
    return Mixed(stage, d.ssm_inner, q);
  }

  std::vector<float> AfterIn() const {
    Stage stage = Prepare(false);
    StageContext& c = stage.context;
    const Dims& d = c.dims;
    c.paths.post_in = path;
    const std::int64_t all = c.batch.rows, kv = d.kv_heads * d.head_dim;
    stage.Fill(c.buffers.cos, Normals(all * d.head_dim / 2, 2), false);
    stage.Fill(c.buffers.sin, Normals(all * d.head_dim / 2, 3), false);
    LayerPointers w{};
    const auto vector = [&](std::int64_t count, std::uint32_t seed) {
      return stage.Keep<float>(ToDevice(Normals(count, seed)));
    };
    w.conv = stage.Keep<float>(ToDevice(Input(4 * d.channels, 4, false)));
    w.conv_bias = vector(d.channels, 5);
    w.dt_bias = vector(d.ssm_heads, 6), w.a = vector(d.ssm_heads, 7);
    PostIn(c, w, kLayer);
    std::vector<float> out = FromDevice(c.buffers.conv, all * d.channels, c.layout.chunked);
    for (const auto& part :
         {FromDevice(c.buffers.q, all * d.heads * d.head_dim, bf16),
          FromDevice(c.buffers.k, all * kv, bf16), FromDevice(c.buffers.v, all * kv, bf16),
          FromDevice(c.buffers.dt, all * d.ssm_heads, false)})
      out.insert(out.end(), part.begin(), part.end());
    return out;
  }

  std::vector<float> Norm() const {
    Stage stage = Prepare(false);
    StageContext& c = stage.context;
    const std::int64_t all = c.batch.rows, hidden = c.dims.hidden, ldo = RoundUp(hidden, kPadK);
    c.paths.norm = path;
    stage.Fill(c.buffers.x, Input(all * hidden, 2, false), false);
    const DeviceMemory weight = ToDevice(Normals(hidden, 3));
    RmsNorm(c, c.buffers.x, weight.as<float>(), all, c.buffers.normed);
    const auto padded = FromDevice(c.buffers.normed, all * ldo, bf16);
    std::vector<float> out;
    for (std::int64_t r = 0; r < all; ++r)
      out.insert(out.end(), padded.begin() + r * ldo, padded.begin() + r * ldo + hidden);
    return out;
  }

  std::vector<float> GatedNorm() const {
    Stage stage = Prepare(true);
    StageContext& c = stage.context;
    c.paths.gate_norm = path;
    stage.Fill(c.buffers.y, Input(c.batch.rows * c.dims.ssm_inner, 2, false), false);
    LayerPointers w{};
    w.ssm_norm = stage.Keep<float>(ToDevice(Normals(c.dims.ssm_inner, 3)));
    GateNorm(c, w);
    return Mixed(stage, 0, c.dims.ssm_inner);
  }

  std::vector<float> Run(StageKind stage) const {
    switch (stage) {
      case StageKind::kProducts:
        return Products();
      case StageKind::kScan:
        return Scans();
      case StageKind::kAttention:
        return Attention();
      case StageKind::kPostIn:
        return AfterIn();
      case StageKind::kNorm:
        return Norm();
      case StageKind::kGateNorm:
        return GatedNorm();
    }
    ADD_FAILURE() << "a stage without a comparison";
    return {};
  }
};

/// Largest difference in the largest number; infinite where something is not a number.
double Error(const std::vector<float>& got, const std::vector<float>& expected) {
  double largest = 0;
  for (const float v : expected) largest = std::max(largest, std::abs(static_cast<double>(v)));
  return testing::WorstError(got, {expected.begin(), expected.end()}) / largest;
}

const PathRow& Twin(StageKind stage) {
  const PathRow* last = nullptr;
  for (const PathRow& row : PathTable())
    if (row.stage == stage) last = &row;
  return *last;
}

/// How far a fast path may be from its twin. What is not named here has its twin's bits.
double Bound(Path path, bool bf16) {
  constexpr double kRounded = 8e-3;  // results rounded to bf16 once or twice: 2^-8 each at most
  constexpr double kOrdered = 2e-6;  // fp32 sums in another order
  const std::map<Path, double> bounds = {
      {Path::kGemmWgmma, kOrdered},
      {Path::kGemmMma, kOrdered},
      {Path::kScanWgmma, kRounded},
      {Path::kScanChunked, kRounded},
      {Path::kScanStaged, bf16 ? kRounded : kOrdered},
      {Path::kAttentionWgmma, kRounded},
      {Path::kAttentionMma, kRounded},
      {Path::kNormFours, bf16 ? kRounded : kOrdered},
      {Path::kGateNormFours, bf16 ? kRounded : kOrdered},
  };
  const auto found = bounds.find(path);
  return found == bounds.end() ? 0 : found->second;
}

class CudaPaths : public ::testing::TestWithParam<PathRow> {};

TEST_P(CudaPaths, AgreesWithThePlainTwin) {
  const PathRow& row = GetParam();
  const PathRow& twin = Twin(row.stage);
  if (row.needs_sm90a && !testing::HasWgmma()) GTEST_SKIP() << "needs a GPU of sm_90a";
  for (const bool bf16 : {true, false}) {
    if (row.needs_bf16 && !bf16) continue;
    for (const bool gated : {true, false})
      ASSERT_TRUE(Takes(row, Dims(Shape(gated)), bf16, testing::Card()));
    for (const std::int64_t rows : {1, 63, 130}) {
      SCOPED_TRACE(fmt::format("{} rows, {}", rows, bf16 ? "bf16" : "fp32"));
      const auto fast = Trial{row.path, bf16, rows, false}.Run(row.stage);
#ifdef H1_CUDA_EMULATION
      EXPECT_TRUE(std::string(emulation::LastKernel()).starts_with(row.kernel))
          << emulation::LastKernel();
#endif
      const auto plain = Trial{twin.path, bf16, rows, false}.Run(row.stage);
      EXPECT_LE(Error(fast, plain), Bound(row.path, bf16));
      const auto slipped = Trial{row.path, bf16, rows, true}.Run(row.stage);
      EXPECT_GT(Error(slipped, plain), 4 * Bound(row.path, bf16));  // one input that is wrong
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, CudaPaths,
                         ::testing::ValuesIn(PathTable().begin(), PathTable().end()),
                         [](const auto& given) { return std::string(given.param.kernel); });

/// Rows of a stage stand together and end with one that takes everything.
TEST(CudaPathTable, EveryStageEndsWithAPlainKernel) {
  const auto table = PathTable();
  for (const StageKind stage : kStageKinds) {
    const PathRow& twin = Twin(stage);
    EXPECT_FALSE(twin.needs_bf16 || twin.needs_sm90a || twin.takes != nullptr) << twin.kernel;
    EXPECT_TRUE(std::string(twin.kernel).ends_with("plain")) << twin.kernel;
  }
  std::map<Path, int> seen;
  for (std::size_t i = 0; i < table.size(); ++i) {
    EXPECT_EQ(++seen[table[i].path], 1) << table[i].kernel;
    if (i > 0) {
      EXPECT_LE(table[i - 1].stage, table[i].stage) << table[i].kernel;
    }
  }
}

constexpr Capability kCards[] = {{8, 0}, {8, 6}, {8, 9}, {9, 0}, {10, 0}, {12, 0}};

/// What the released models run on each card, spelt out.
TEST(CudaPathTable, ReleasedModelsRunWhatTheTableSays) {
  for (const char* name : {"0.5B", "1.5B", "1.5B-Deep", "3B", "7B", "34B"}) {
    const Dims d(FindReleasedShape(name)->shape);
    const std::string rest =
        std::string("post_in_fours, norm_fours") + (d.gated_norm ? ", gate_norm_fours" : "");
    for (const Capability& card : kCards) {
      SCOPED_TRACE(fmt::format("{} on {}.{}", name, card.major, card.minor));
      EXPECT_EQ(DescribePaths(d, true, card),
                (card.major == 9 ? "gemm_wgmma, scan_wgmma, attention_wgmma, "
                                 : "gemm_mma, scan_chunked, attention_mma, ") +
                    rest);
      EXPECT_EQ(DescribePaths(d, false, card), "gemm_plain, scan_staged, attention_plain, " + rest);
    }
    // A build without code for sm_90a runs there what it runs on sm_80.
    EXPECT_EQ(DescribePaths(d, true, {9, 0, false}), DescribePaths(d, true, {8, 0}));
  }
}

/// Sizes at each side of every limit.
TEST(CudaPathTable, SizesDecide) {
  const auto chosen = [](StageKind stage, bool bf16, auto change) {
    ModelShape s = Shape(true);
    change(s);
    return std::string(ChoosePath(stage, Dims(s), bf16, {8, 0}).kernel);
  };
  using enum StageKind;
  const auto state = [&](bool bf16, std::int64_t n, std::int64_t p) {
    return chosen(kScan, bf16, [&](ModelShape& s) {
      s.ssm_state = n, s.ssm_head_dim = p, s.ssm_inner = s.ssm_heads * p;
    });
  };
  EXPECT_EQ(state(true, 128, 64), "scan_chunked");
  EXPECT_EQ(state(true, 256, 128), "scan_chunked");
  EXPECT_EQ(state(true, 256, 32), "scan_staged");  // heads too narrow for chunks
  EXPECT_EQ(state(false, 256, 32), "scan_staged");
  EXPECT_EQ(state(false, 128, 64), "scan_staged");
  EXPECT_EQ(state(false, 128, 32), "scan_plain");
  EXPECT_EQ(state(true, 96, 64), "scan_plain");
  EXPECT_EQ(chosen(kScan, true, [](ModelShape& s) { s.ssm_heads = 2, s.ssm_groups = 1; }),
            "scan_chunked");
  const auto head = [&](std::int64_t width, std::int64_t heads) {
    return chosen(kAttention, true,
                  [&](ModelShape& s) { s.head_dim = width, s.heads = heads, s.kv_heads = 1; });
  };
  EXPECT_EQ(head(64, 128), "attention_mma");
  EXPECT_EQ(head(128, 1), "attention_mma");
  EXPECT_EQ(head(64, 129), "attention_plain");
  EXPECT_EQ(head(96, 4), "attention_plain");
  const auto hidden = [&](std::int64_t width) {
    return chosen(kNorm, true, [&](ModelShape& s) { s.hidden = width; });
  };
  EXPECT_EQ(hidden(8192), "norm_fours");
  EXPECT_EQ(hidden(8196), "norm_plain");
  EXPECT_EQ(hidden(130), "norm_plain");
  EXPECT_EQ(chosen(kPostIn, true, [](ModelShape& s) { s.conv_taps = 3; }), "post_in_plain");
  EXPECT_EQ(chosen(kGateNorm, true, [](ModelShape& s) { s.ssm_heads = 3, s.ssm_groups = 1; }),
            "gate_norm_plain");  // three time steps: columns in fours no more
}

/// Slots and plans follow from the scan's path and know no card.
TEST(CudaPathTable, TheScanKeepsTheSameOnEveryCard) {
  const auto chunked = [](Path path) {
    return path == Path::kScanWgmma || path == Path::kScanChunked;
  };
  for (const bool bf16 : {true, false}) {
    for (const Capability& card : kCards) {
      EXPECT_EQ(HasScanChunked(Shape(false), bf16),
                chunked(ChoosePaths(Dims(Shape(false)), bf16, card).scan));
    }
  }
}

}  // namespace
}  // namespace h1bench::H1_CUDA_NAMESPACE

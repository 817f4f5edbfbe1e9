// Every kernel between the products against float64 on the same numbers: angles, conv, time steps,
// rotation, what a call keeps, norms, answers. Sizes around the kernels' own: 1, a block's threads
// and their multiples less and more one, odd ones. And the comparisons against planted mistakes.
#include "kernels/cuda/stages.h"

#include <algorithm>

#include "tests/cuda/stage_fixture.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

using testing::FromDevice;
using testing::Normals;
using testing::Span;
using testing::Stage;
using testing::ToDevice;
using testing::WorstError;

ModelShape Shape(std::int64_t hidden, std::int64_t head_dim, std::int64_t ssm_head_dim,
                 std::int64_t state, std::int64_t taps) {
  ModelShape s;
  s.vocab = 40, s.hidden = hidden, s.intermediate = 64, s.layers = 2;
  s.heads = 3, s.kv_heads = 1, s.head_dim = head_dim;
  s.ssm_heads = 2, s.ssm_head_dim = ssm_head_dim, s.ssm_inner = 2 * ssm_head_dim;
  s.ssm_groups = 1, s.ssm_state = state, s.conv_taps = taps;
  s.dt_min = 0.01F, s.dt_max = 0.9F;
  s.ssm_out_multiplier = 0.5F;
  return s;
}

std::size_t At(std::int64_t i) { return static_cast<std::size_t>(i); }
double Silu64(double x) { return x * testing::Sigmoid(x); }

/// Angles at base 1e11 to the last position of 262 144, as exact as fp32 holds a cosine; a product
/// in fp32 is thousands of times as wrong there.
TEST(CudaStages, AnglesAreExactAtEveryPosition) {
  const std::vector<std::int32_t> positions = {0,     1,      63,     4095,   32767,
                                               65537, 131071, 200003, 262142, 262143};
  for (const std::int64_t hd : {18, 64, 128}) {
    Stage stage(Shape(8, hd, 4, 8, 4), false, {Span{0, std::ssize(positions)}});
    stage.context.batch.positions = stage.Keep<std::int32_t>(ToDevice(positions));
    stage.context.batch.ids =
        stage.Keep<std::int32_t>(ToDevice(std::vector<std::int32_t>(positions.size(), 0)));
    const DeviceMemory table = ToDevice(std::vector<float>(At(RoundUp(8, kPadK)), 1.0F));
    Embed(stage.context, table.bytes(), 1e11);
    const std::int64_t half = hd / 2, count = std::ssize(positions) * half;
    const auto cosines = FromDevice<float>(stage.context.buffers.cos, count);
    const auto sines = FromDevice<float>(stage.context.buffers.sin, count);
    double worst = 0, worst_in_fp32 = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const long double exponent =
          -2.0L * static_cast<long double>(i % half) / static_cast<long double>(hd);
      const long double frequency = std::pow(1e11L, exponent);
      const long double angle = static_cast<long double>(positions[At(i / half)]) * frequency;
      const auto error = [&](long double cosine, long double sine) {
        return static_cast<double>(
            std::max(std::abs(cosine - std::cos(angle)), std::abs(sine - std::sin(angle))));
      };
      worst = std::max(worst, error(static_cast<long double>(cosines[At(i)]),
                                    static_cast<long double>(sines[At(i)])));
      const float rough =
          static_cast<float>(positions[At(i / half)]) * static_cast<float>(frequency);
      worst_in_fp32 = std::max(worst_in_fp32, error(static_cast<long double>(std::cos(rough)),
                                                    static_cast<long double>(std::sin(rough))));
    }
    EXPECT_LE(worst, 3.1e-8) << hd;  // half a unit in the last place of numbers below 1
    EXPECT_GT(worst_in_fp32, 1e-4) << hd;
  }
}

/// One layer's small weights, as vectors and on the device.
struct Weights {
  std::vector<float> conv, conv_bias, dt_bias, a;
  LayerPointers on_device{};
  Weights(const ModelShape& s, Stage& stage)
      : conv(Normals(s.conv_taps * s.conv_channels(), 1)),
        conv_bias(Normals(s.conv_channels(), 2)),
        dt_bias(Normals(s.ssm_heads, 3)),
        a(At(s.ssm_heads), -0.7F) {
    on_device.conv = stage.Keep<float>(ToDevice(conv));
    on_device.conv_bias = stage.Keep<float>(ToDevice(conv_bias));
    on_device.dt_bias = stage.Keep<float>(ToDevice(dt_bias));
    on_device.a = stage.Keep<float>(ToDevice(a));
  }
};

constexpr std::int64_t kLayer = 1;

/// PostIn and Keep of one segment that follows others' tokens.
struct PostInRun {
  ModelShape shape;
  Span span;
  Stage stage;
  Weights weights;
  std::vector<float> wide, tail, cos, sin;  // tail: (taps - 1, channels)

  PostInRun(const ModelShape& s, bool bf16, Span at)
      : shape(s),
        span(at),
        stage(s, bf16, {at}),
        weights(s, stage),
        wide(Normals(at.rows * stage.context.dims.wide, 4)),
        tail(Normals((s.conv_taps - 1) * s.conv_channels(), 5)),
        cos(Normals(at.rows * s.head_dim / 2, 6)),
        sin(Normals(at.rows * s.head_dim / 2, 7)) {
    const StateLayout& layout = stage.context.layout;
    const Buffers& b = stage.context.buffers;
    stage.Fill(b.wide, wide, false), stage.Fill(b.cos, cos, false), stage.Fill(b.sin, sin, false);
    DeviceSegment& segment = stage.segments()[0];
    auto* const recent = static_cast<std::byte*>(stage.New(layout.recent_bytes()));
    if (at.position > 0) {
      stage.Fill(recent + layout.tail_at(kLayer), tail, false);
      segment.recent_in = recent;
    }
    segment.recent_out = recent;
    stage.Tables();
  }
  double Wide(std::int64_t row, std::int64_t column) const {
    return wide[At(row * stage.context.dims.wide + column)];
  }
  /// Conv input of a row, which may lie before the segment.
  double Input(std::int64_t row, std::int64_t channel) const {
    if (row >= 0) return Wide(row, stage.context.dims.x + channel);
    if (span.position == 0) return 0;
    return tail[At((row + shape.conv_taps - 1) * shape.conv_channels() + channel)];
  }
  std::vector<double> Conv() const {
    std::vector<double> out;
    for (std::int64_t r = 0; r < span.rows; ++r) {
      for (std::int64_t c = 0; c < shape.conv_channels(); ++c) {
        double sum = weights.conv_bias[At(c)];
        for (std::int64_t k = 0; k < shape.conv_taps; ++k)
          sum += static_cast<double>(weights.conv[At(k * shape.conv_channels() + c)]) *
                 Input(r - (shape.conv_taps - 1) + k, c);
        out.push_back(Silu64(sum));
      }
    }
    return out;
  }
  std::vector<double> Steps() const {
    std::vector<double> out;
    for (std::int64_t r = 0; r < span.rows; ++r)
      for (std::int64_t h = 0; h < shape.ssm_heads; ++h) {
        const double raw =
            Wide(r, stage.context.dims.dt + h) + static_cast<double>(weights.dt_bias[At(h)]);
        out.push_back(std::clamp(std::log1p(std::exp(raw)), static_cast<double>(shape.dt_min),
                                 static_cast<double>(shape.dt_max)));
      }
    return out;
  }
  std::vector<double> Rotated(std::int64_t first, std::int64_t heads) const {
    std::vector<double> out;
    const std::int64_t hd = shape.head_dim, half = hd / 2;
    for (std::int64_t r = 0; r < span.rows; ++r)
      for (std::int64_t i = 0; i < heads * hd; ++i) {
        const std::int64_t j = i % hd, other = j < half ? i + half : i - half;
        const double own = Wide(r, first + i), pair = Wide(r, first + other);
        const double c = cos[At(r * half + j % half)], s = sin[At(r * half + j % half)];
        out.push_back(own * c + (j < half ? -pair : pair) * s);
      }
    return out;
  }
};

// bf16: one rounding of numbers up to about 8 (2^-9 of each), and of conv's the units' fast silu.
constexpr double kFp32 = 4e-6, kBf16 = 3.2e-2;

struct PostInCase {
  ModelShape shape;
  bool bf16, chunked;
};
std::vector<PostInCase> PostInCases() {
  return {{Shape(8, 18, 5, 7, 3), false, false},      // nothing in fours
          {Shape(8, 16, 8, 16, 4), false, false},     // conv in fours
          {Shape(8, 18, 5, 7, 4), true, false},       // bf16, conv kept in fp32
          {Shape(8, 64, 64, 128, 4), true, true},     // bf16 throughout
          {Shape(8, 64, 130, 62, 1), false, false}};  // one tap; channels past a block's threads
}

TEST(CudaStages, PostInFollowsFloat64) {
  for (const PostInCase& c : PostInCases()) {
    for (const Span& span : {Span{0, 1}, Span{0, 5}, Span{7, 1}, Span{3, 4}, Span{100, 2}}) {
      PostInRun run(c.shape, c.bf16, span);
      SCOPED_TRACE(fmt::format("channels {}, {} after {}", c.shape.conv_channels(), span.rows,
                               span.position));
      ASSERT_EQ(run.stage.context.layout.chunked, c.chunked);
      PostIn(run.stage.context, run.weights.on_device, kLayer);
      const Buffers& b = run.stage.context.buffers;
      const double bound = c.bf16 ? kBf16 : kFp32;
      const ModelShape& s = c.shape;
      EXPECT_LE(
          WorstError(FromDevice(b.conv, span.rows * s.conv_channels(), c.chunked), run.Conv()),
          bound);
      const auto steps = FromDevice<float>(b.dt, span.rows * s.ssm_heads);
      EXPECT_LE(WorstError(steps, run.Steps()), kFp32);
      if (!c.chunked) {
        std::vector<double> decays;
        for (const float step : steps) decays.push_back(std::exp(static_cast<double>(step) * -0.7));
        EXPECT_LE(WorstError(FromDevice<float>(b.decay, span.rows * s.ssm_heads), decays), kFp32);
      }
      const Dims& d = run.stage.context.dims;
      EXPECT_LE(WorstError(FromDevice(b.q, span.rows * s.query_rows(), c.bf16),
                           run.Rotated(d.q, s.heads)),
                bound);
      EXPECT_LE(WorstError(FromDevice(b.k, span.rows * s.key_rows(), c.bf16),
                           run.Rotated(d.k, s.kv_heads)),
                bound);
    }
  }
}

/// A tail of the wrong rows, a time step of the wrong head.
TEST(CudaStages, PostInsPlantedMistakesAreSeen) {
  PostInRun run(Shape(8, 16, 8, 16, 4), false, {7, 3});
  PostIn(run.stage.context, run.weights.on_device, kLayer);
  const auto conv =
      FromDevice<float>(run.stage.context.buffers.conv, 3 * run.shape.conv_channels());
  const auto steps = FromDevice<float>(run.stage.context.buffers.dt, 3 * run.shape.ssm_heads);
  std::rotate(run.tail.begin(), run.tail.begin() + run.shape.conv_channels(), run.tail.end());
  std::swap(run.weights.dt_bias[0], run.weights.dt_bias[1]);
  EXPECT_GT(WorstError(conv, run.Conv()), 0.1);
  EXPECT_GT(WorstError(steps, run.Steps()), 0.01);
}

/// Keys and values land in the page and place of their position, the last inputs become the tail;
/// nothing else is touched.
TEST(CudaStages, KeepWritesPagesAndTail) {
  for (const PostInCase& c : PostInCases()) {
    for (const Span& span : {Span{0, 1}, Span{0, 70}, Span{63, 2}, Span{64, 1}, Span{130, 66}}) {
      PostInRun run(c.shape, c.bf16, span);
      SCOPED_TRACE(fmt::format("{} after {}", span.rows, span.position));
      const ModelShape& s = c.shape;
      const StateLayout& layout = run.stage.context.layout;
      PostIn(run.stage.context, run.weights.on_device, kLayer);
      Keep(run.stage.context, kLayer);
      const Buffers& b = run.stage.context.buffers;
      const auto keys = FromDevice(b.k, span.rows * s.key_rows(), c.bf16);
      const auto values = FromDevice(b.v, span.rows * s.key_rows(), c.bf16);
      std::int64_t wrong = 0;
      for (std::int64_t p = 0; p < CeilDiv(span.position + span.rows, kPageTokens) * kPageTokens;
           ++p) {
        const std::byte* at = run.stage.Page(0, p) + layout.key_at(kLayer, 0, p);
        const auto key = FromDevice(at, s.head_dim, c.bf16);
        const auto value = FromDevice(at + s.kv_heads * layout.head_bytes, s.head_dim, c.bf16);
        const std::int64_t row = p - span.position;
        for (std::int64_t i = 0; i < s.head_dim; ++i) {
          if (row >= 0 && row < span.rows) {
            wrong += key[At(i)] != keys[At(row * s.head_dim + i)];
            wrong += value[At(i)] != values[At(row * s.head_dim + i)];
          } else {
            wrong += !std::isnan(key[At(i)]) + !std::isnan(value[At(i)]);
          }
        }
      }
      EXPECT_EQ(wrong, 0);
      std::vector<double> tail;
      for (std::int64_t i = 0; i < s.conv_taps - 1; ++i)
        for (std::int64_t ch = 0; ch < s.conv_channels(); ++ch)
          tail.push_back(run.Input(span.rows - (s.conv_taps - 1) + i, ch));
      const auto kept = FromDevice<float>(
          run.stage.segments()[0].recent_out + layout.tail_at(kLayer), std::ssize(tail));
      EXPECT_EQ(WorstError(kept, tail), 0);
    }
  }
}

/// What a call leaves in its slot: the layer's recent inputs and the page of its position.
std::vector<unsigned char> Left(PostInRun& run) {
  const StateLayout& layout = run.stage.context.layout;
  auto out = FromDevice<unsigned char>(run.stage.segments()[0].recent_out, layout.recent_bytes());
  const auto page =
      FromDevice<unsigned char>(run.stage.Page(0, run.span.position), layout.page_bytes);
  out.insert(out.end(), page.begin(), page.end());
  return out;
}

/// In a decode step the kernel in fours leaves what Keep would, byte for byte; at a chunk's last
/// token (63) as well, whose x and B nobody asks for again.
TEST(CudaStages, AStepInPlaceKeepsWhatKeepWould) {
  ModelShape shape = Shape(8, 64, 64, 128, 4);
  shape.heads = 2, shape.kv_heads = 2;
  shape.ssm_heads = 4, shape.ssm_inner = 256;  // four time steps: columns stay in fours
  for (const bool bf16 : {true, false}) {
    for (const std::int64_t position : {1, 3, 62, 63, 64, 130}) {
      SCOPED_TRACE(fmt::format("bf16 {}, position {}", bf16, position));
      PostInRun apart(shape, bf16, {position, 1}), together(shape, bf16, {position, 1});
      ASSERT_EQ(together.stage.context.paths.post_in, Path::kPostInFours);
      ASSERT_EQ(together.stage.context.layout.chunked, bf16);
      EXPECT_FALSE(PostInKeeps(together.stage.context));
      together.stage.context.batch.step_in_place = true;
      EXPECT_TRUE(PostInKeeps(together.stage.context));
      const auto before = Left(together);
      for (PostInRun* run : {&apart, &together})
        PostIn(run->stage.context, run->weights.on_device, kLayer);
      EXPECT_EQ(Left(apart), before);  // or there is nothing to compare
      Keep(apart.stage.context, kLayer);
      EXPECT_EQ(Left(together), Left(apart));
      EXPECT_NE(Left(together), before);
      const auto rows = [&](const PostInRun& run) {
        return FromDevice<unsigned char>(run.stage.context.buffers.k,
                                         shape.key_rows() * (bf16 ? 2 : 4));
      };
      EXPECT_EQ(rows(together), rows(apart));
    }
  }
}

/// The page and place of position 262 143.
TEST(CudaStages, KeepWritesTheLastPositionOfALongContext) {
  const Span span{262141, 3};
  PostInRun run(Shape(8, 16, 8, 16, 4), false, span);
  PostIn(run.stage.context, run.weights.on_device, kLayer);
  Keep(run.stage.context, kLayer);
  const auto keys = FromDevice<float>(run.stage.context.buffers.k, 3 * run.shape.key_rows());
  for (std::int64_t row = 0; row < span.rows; ++row) {
    const std::int64_t p = span.position + row;
    const auto key =
        FromDevice<float>(run.stage.Page(0, p) + run.stage.context.layout.key_at(kLayer, 0, p), 16);
    EXPECT_TRUE(std::equal(key.begin(), key.end(), keys.begin() + row * 16)) << row;
  }
  const auto untouched = FromDevice<float>(
      run.stage.Page(0, 262140) + run.stage.context.layout.key_at(kLayer, 0, 262140), 16);
  EXPECT_TRUE(std::isnan(untouched[0]));
}

/// Rows narrower and wider than a block's threads, in fours and not.
TEST(CudaStages, NormsFollowFloat64) {
  for (const bool bf16 : {false, true}) {
    for (const std::int64_t hidden :
         {1, 63, 255, 256, 257, 1024, 2047, 2048, 2052, 4096, 5120, 8192, 8196}) {
      SCOPED_TRACE(hidden);
      const std::int64_t rows = 3;
      Stage stage(Shape(hidden, 8, 4, 8, 4), bf16, {Span{0, rows}});
      const auto x = Normals(rows * hidden, 1), weight = Normals(hidden, 2);
      stage.Fill(stage.context.buffers.x, x, false);
      const DeviceMemory w = ToDevice(weight);
      RmsNorm(stage.context, stage.context.buffers.x, w.as<float>(), rows,
              stage.context.buffers.normed);
      const std::int64_t width = RoundUp(hidden, kPadK);
      const auto padded = FromDevice(stage.context.buffers.normed, rows * width, bf16);
      std::vector<float> got;
      std::vector<double> expected;
      for (std::int64_t r = 0; r < rows; ++r) {
        double squares = 0;
        for (std::int64_t i = 0; i < hidden; ++i)
          squares += std::pow(static_cast<double>(x[At(r * hidden + i)]), 2);
        const double scale = 1 / std::sqrt(squares / static_cast<double>(hidden) + 1e-5);
        for (std::int64_t i = 0; i < width; ++i) {
          if (i >= hidden) {
            EXPECT_TRUE(std::isnan(padded[At(r * width + i)])) << "padding was written";
            continue;
          }
          got.push_back(padded[At(r * width + i)]);
          expected.push_back(static_cast<double>(x[At(r * hidden + i)]) * scale *
                             static_cast<double>(weight[At(i)]));
        }
      }
      EXPECT_LE(WorstError(got, expected), bf16 ? kBf16 : kFp32);
      expected[0] = expected[0] * 1.02 + 0.1;  // a planted mistake of one number
      EXPECT_GT(WorstError(got, expected), kBf16);
    }
  }
}

TEST(CudaStages, GateNormFollowsFloat64) {
  for (const bool before : {false, true}) {
    for (const std::int64_t size : {1, 127, 128, 255, 256, 257, 1024, 2052}) {
      SCOPED_TRACE(size);
      ModelShape s = Shape(8, 8, 1, 8, 4);
      s.ssm_groups = s.ssm_heads = 2, s.ssm_head_dim = size, s.ssm_inner = 2 * size;
      s.gated_norm = true, s.norm_before_gate = before;
      Stage stage(s, false, {Span{0, 2}});
      const Dims& d = stage.context.dims;
      const auto y = Normals(2 * s.ssm_inner, 1), wide = Normals(2 * d.wide, 2),
                 weight = Normals(s.ssm_inner, 3);
      stage.Fill(stage.context.buffers.y, y, false);
      stage.Fill(stage.context.buffers.wide, wide, false);
      LayerPointers w{};
      const DeviceMemory memory = ToDevice(weight);
      w.ssm_norm = memory.as<float>();
      GateNorm(stage.context, w);
      const auto mixed = FromDevice<float>(stage.context.buffers.mixed, 2 * stage.MixedWidth());
      std::vector<float> got;
      std::vector<double> expected;
      for (std::int64_t part = 0; part < 4; ++part) {  // row, group
        const std::int64_t row = part / 2, first = part % 2 * size;
        const auto gate = [&](std::int64_t i) {
          return Silu64(wide[At(row * d.wide + d.z + first + i)]);
        };
        double squares = 0;
        for (std::int64_t i = 0; i < size; ++i) {
          const double v = y[At(row * s.ssm_inner + first + i)];
          squares += std::pow(before ? v : v * gate(i), 2);
        }
        const double scale = 1 / std::sqrt(squares / static_cast<double>(size) + 1e-5);
        for (std::int64_t i = 0; i < size; ++i) {
          got.push_back(mixed[At(row * stage.MixedWidth() + first + i)]);
          expected.push_back(static_cast<double>(y[At(row * s.ssm_inner + first + i)]) * gate(i) *
                             scale * static_cast<double>(weight[At(first + i)]) * 0.5);
        }
      }
      EXPECT_LE(WorstError(got, expected), 1e-5);
    }
  }
}

/// Argmax (the smallest id of equals), log-sum-exp and targets of vocabularies around a block.
TEST(CudaStages, HeadFollowsFloat64) {
  for (const std::int64_t vocab : {1, 31, 1023, 1024, 1025, 3001}) {
    SCOPED_TRACE(vocab);
    ModelShape s = Shape(8, 8, 4, 8, 4);
    s.vocab = vocab, s.lm_head_multiplier = 0.5F;
    const std::int64_t rows = 3;
    Stage stage(s, false, {Span{0, rows}});
    auto logits = Normals(rows * vocab, 1);
    for (float& v : logits) v *= 20;
    const std::int64_t top = vocab / 2;
    for (const std::int64_t i : {top, vocab - 1}) logits[At(i)] = 500;  // row 0: equals
    stage.context.buffers.logits = stage.Floats(rows * vocab);
    stage.Fill(stage.context.buffers.logits, logits, false);
    const std::vector<std::int32_t> targets = {static_cast<std::int32_t>(vocab - 1), 0, 0};
    const std::vector<std::int32_t> begins = {0, 2, 2, 3};
    stage.context.batch.targets = stage.Keep<std::int32_t>(ToDevice(targets));
    stage.context.batch.target_begin = stage.Keep<std::int32_t>(ToDevice(begins));
    auto* const out = static_cast<HeadRow*>(stage.New(rows * 16));
    float* const wanted = stage.Floats(3);
    Head(stage.context, 0, rows, out, wanted);
    const auto answers = FromDevice<HeadRow>(out, rows);
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* row = logits.data() + r * vocab;
      const std::int64_t best = std::max_element(row, row + vocab) - row;
      double sum = 0;
      for (std::int64_t i = 0; i < vocab; ++i)
        sum += std::exp(0.5 * (static_cast<double>(row[i]) - static_cast<double>(row[best])));
      EXPECT_EQ(answers[At(r)].argmax, best);
      EXPECT_EQ(answers[At(r)].max, row[best] * 0.5F);
      EXPECT_NEAR(answers[At(r)].log_sum_exp, 0.5 * static_cast<double>(row[best]) + std::log(sum),
                  1e-6);
    }
    EXPECT_EQ(answers[0].argmax, top);
    const auto got = FromDevice<float>(wanted, 3);
    EXPECT_EQ(got[0], logits[At(vocab - 1)] * 0.5F);
    EXPECT_EQ(got[1], logits[0] * 0.5F);
    EXPECT_EQ(got[2], logits[At(2 * vocab)] * 0.5F);
  }
}

TEST(CudaStages, EmbedAndGatherTakeTheirRows) {
  for (const bool bf16 : {false, true}) {
    for (const std::int64_t hidden : {1, 255, 256, 257}) {
      ModelShape s = Shape(hidden, 8, 4, 8, 4);
      s.embedding_multiplier = 3;
      Stage stage(s, bf16, {Span{0, 4}});
      const std::int64_t width = RoundUp(hidden, kPadK);
      const auto table = Normals(s.vocab * width, 1, true);
      const DeviceMemory on_device = ToDevice(table, bf16);
      const std::vector<std::int32_t> ids = {39, 0, 7, 39}, asked = {1, 3};
      DeviceBatch& batch = stage.context.batch;
      batch.ids = stage.Keep<std::int32_t>(ToDevice(ids));
      batch.asked = stage.Keep<std::int32_t>(ToDevice(asked)), batch.asked_count = 2;
      Buffers& b = stage.context.buffers;
      b.last_x = stage.Floats(2 * hidden);
      b.last_mixed = stage.New(2 * stage.MixedWidth() * (bf16 ? 2 : 4));
      const auto mixed = Normals(4 * stage.MixedWidth(), 2, true);
      stage.Fill(b.mixed, mixed, bf16);
      Embed(stage.context, on_device.bytes(), 1e4);
      GatherAsked(stage.context);
      std::vector<double> x, last, kept;
      const auto row = [&](std::int32_t id, std::vector<double>& to) {
        for (std::int64_t i = 0; i < hidden; ++i)
          to.push_back(3 * static_cast<double>(table[At(id * width + i)]));
      };
      for (const std::int32_t id : ids) row(id, x);
      for (const std::int32_t a : asked) {
        row(ids[At(a)], last);
        for (std::int64_t i = 0; i < stage.MixedWidth(); ++i)
          kept.push_back(mixed[At(a * stage.MixedWidth() + i)]);
      }
      EXPECT_LE(WorstError(FromDevice<float>(b.x, 4 * hidden), x), 2e-6);
      EXPECT_LE(WorstError(FromDevice<float>(b.last_x, 2 * hidden), last), 2e-6);
      EXPECT_EQ(WorstError(FromDevice(b.last_mixed, 2 * stage.MixedWidth(), bf16), kept), 0);
    }
  }
}

}  // namespace
}  // namespace h1bench::H1_CUDA_NAMESPACE

// Attention in fp32 against float64 at any head size; rows of many segments in one call against
// each alone; and the last position of the longest context. The kernels' tiles: attention_test.cc.
#include <algorithm>

#include "kernels/cuda/attention.h"
#include "tests/cuda/stage_fixture.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

using testing::Span;
using testing::Stage;

ModelShape Shape(std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim) {
  ModelShape s;
  s.vocab = 32, s.hidden = 64, s.intermediate = 64, s.layers = 2;
  s.heads = heads, s.kv_heads = kv_heads, s.head_dim = head_dim;
  s.ssm_heads = 1, s.ssm_head_dim = 8, s.ssm_inner = 8, s.ssm_groups = 1, s.ssm_state = 8;
  s.conv_taps = 4;
  s.attention_out_multiplier = 0.75F;
  return s;
}

constexpr std::int64_t kLayer = 1;

/// Keys, values and queries of some segments in layer 1 of two, in pages and rows as the backend
/// lays them; and what float64 says of every row.
struct Problem {
  ModelShape shape;
  bool bf16;
  std::vector<Span> spans;
  std::vector<std::vector<float>> keys, values,
      queries;  // by segment: (positions | rows, heads, hd)

  Problem(const ModelShape& s, bool b, std::vector<Span> at)
      : shape(s), bf16(b), spans(std::move(at)) {
    for (std::size_t i = 0; i < spans.size(); ++i) {
      const auto seed = static_cast<std::uint32_t>(10 * i + 1);
      const std::int64_t end = spans[i].position + spans[i].rows;
      keys.push_back(testing::Normals(end * s.key_rows(), seed, b));
      values.push_back(testing::Normals(end * s.key_rows(), seed + 1, b));
      queries.push_back(testing::Normals(spans[i].rows * s.query_rows(), seed + 2, b));
    }
  }

  /// One past position's heads into its page.
  void FillPage(const Stage& stage, std::size_t segment, std::int64_t p) const {
    const std::int64_t hd = shape.head_dim, element = bf16 ? 2 : 4;
    for (std::int64_t h = 0; h < shape.kv_heads; ++h) {
      const auto from = static_cast<std::ptrdiff_t>(p * shape.key_rows() + h * hd);
      const auto part = [&](const std::vector<float>& v) {
        return std::vector<float>(v.begin() + from, v.begin() + from + hd);
      };
      std::byte* key = stage.Page(segment, p) + stage.context.layout.key_at(kLayer, h, p);
      stage.Fill(key, part(keys[segment]), bf16);
      stage.Fill(key + shape.kv_heads * kPageTokens * hd * element, part(values[segment]), bf16);
    }
  }

  /// (rows, heads * hd) of all segments, as the kernel writes it into mixed.
  std::vector<float> Run(const std::function<void(const StageContext&, std::int64_t)>& kernel,
                         std::int64_t tile_rows) const {
    Stage stage(shape, bf16, spans);
    std::vector<float> q, k, v;
    for (std::size_t i = 0; i < spans.size(); ++i) {
      for (std::int64_t p = 0; p < spans[i].position; ++p) FillPage(stage, i, p);
      const auto own = static_cast<std::ptrdiff_t>(spans[i].position * shape.key_rows());
      q.insert(q.end(), queries[i].begin(), queries[i].end());
      k.insert(k.end(), keys[i].begin() + own, keys[i].end());
      v.insert(v.end(), values[i].begin() + own, values[i].end());
    }
    const Buffers& b = stage.context.buffers;
    stage.Fill(b.q, q, bf16), stage.Fill(b.k, k, bf16), stage.Fill(b.v, v, bf16);
    stage.Tiles(tile_rows);
    kernel(stage.context, kLayer);
    const std::int64_t width = stage.MixedWidth(), rows = stage.context.batch.rows;
    const std::vector<float> mixed = testing::FromDevice(b.mixed, rows * width, bf16);
    std::vector<float> out;
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto at = mixed.begin() + static_cast<std::ptrdiff_t>(r * width + shape.ssm_inner);
      out.insert(out.end(), at, at + static_cast<std::ptrdiff_t>(shape.query_rows()));
    }
    return out;
  }

  std::vector<double> Reference() const {
    std::vector<double> out;
    for (std::size_t i = 0; i < spans.size(); ++i)
      for (std::int64_t r = 0; r < spans[i].rows; ++r)
        for (std::int64_t h = 0; h < shape.heads; ++h) AddHead(i, r, h, out);
    return out;
  }

  void AddHead(std::size_t i, std::int64_t row, std::int64_t head, std::vector<double>& out) const {
    const std::int64_t hd = shape.head_dim, kv = head / (shape.heads / shape.kv_heads);
    const std::int64_t last = spans[i].position + row;
    const float* q = queries[i].data() + row * shape.query_rows() + head * hd;
    std::vector<double> weight, sum(static_cast<std::size_t>(hd));
    double top = -INFINITY, total = 0;
    for (std::int64_t p = 0; p <= last; ++p) {
      const float* key = keys[i].data() + p * shape.key_rows() + kv * hd;
      double score = 0;
      for (std::int64_t d = 0; d < hd; ++d)
        score += static_cast<double>(q[d]) * static_cast<double>(key[d]);
      weight.push_back(score / std::sqrt(static_cast<double>(hd)));
      top = std::max(top, weight.back());
    }
    for (std::int64_t p = 0; p <= last; ++p) {
      const double w = std::exp(weight[static_cast<std::size_t>(p)] - top);
      total += w;
      const float* value = values[i].data() + p * shape.key_rows() + kv * hd;
      for (std::int64_t d = 0; d < hd; ++d)
        sum[static_cast<std::size_t>(d)] += w * static_cast<double>(value[d]);
    }
    for (const double v : sum)
      out.push_back(v / total * static_cast<double>(shape.attention_out_multiplier));
  }
};

std::vector<float> RunPlain(const Problem& p) { return p.Run(AttendPlain, 1); }
std::vector<float> RunMma(const Problem& p) {
  return p.Run(AttendMma, AttentionTileRows(p.shape, true));
}

constexpr double kFp32 = 2e-6;  // sums of a hundred values near 1

TEST(CudaAttentionRows, PlainFollowsFloat64) {
  for (const ModelShape& shape : {Shape(3, 1, 64), Shape(2, 2, 18), Shape(4, 2, 256)}) {
    for (const Span& span : {Span{0, 1}, Span{0, 33}, Span{31, 1}, Span{32, 2}, Span{63, 3},
                             Span{64, 1}, Span{100, 31}}) {
      SCOPED_TRACE(fmt::format("hd {}, {} after {}", shape.head_dim, span.rows, span.position));
      const Problem p(shape, false, {span});
      EXPECT_LE(testing::WorstError(RunPlain(p), p.Reference()), kFp32);
    }
  }
}

/// A row's bits are its own, whoever shares the call and wherever it was cut.
TEST(CudaAttentionRows, ARowsBitsAreItsOwn) {
  const ModelShape shape = Shape(3, 1, 64);
  const Problem together(shape, true, {{10, 70}, {0, 5}, {129, 1}});
  const std::vector<float> all = RunMma(together), all_plain = RunPlain(together);
  std::ptrdiff_t first = 0;
  for (std::size_t i = 0; i < together.spans.size(); ++i) {
    Problem alone(shape, true, {together.spans[i]});
    alone.keys = {together.keys[i]}, alone.values = {together.values[i]};
    alone.queries = {together.queries[i]};
    const std::vector<float> fast = RunMma(alone), plain = RunPlain(alone);
    const auto same = [&](const std::vector<float>& part, const std::vector<float>& whole) {
      return std::equal(part.begin(), part.end(), whole.begin() + first);
    };
    EXPECT_TRUE(same(fast, all)) << i;
    EXPECT_TRUE(same(plain, all_plain)) << i;
    // Its last row again, with all others in pages.
    const Span& span = together.spans[i];
    const std::int64_t width = shape.query_rows();
    Problem last(shape, true, {{span.position + span.rows - 1, 1}});
    last.keys = alone.keys, last.values = alone.values;
    last.queries = {{alone.queries[0].end() - width, alone.queries[0].end()}};
    EXPECT_TRUE(std::equal(fast.end() - width, fast.end(), RunMma(last).begin())) << i;
    first += static_cast<std::ptrdiff_t>(fast.size());
  }
}

/// A wrong position, a swapped head or a missing scale is far above the bounds.
TEST(CudaAttentionRows, PlantedMistakesAreSeen) {
  const Problem p(Shape(4, 2, 64), false, {{70, 9}});
  Problem late = p, swapped = p, unscaled = p;
  for (auto* v : {&late.keys[0], &late.values[0]})
    std::rotate(v->begin(), v->begin() + p.shape.key_rows(), v->end());
  std::swap_ranges(swapped.queries[0].begin(), swapped.queries[0].begin() + 64,
                   swapped.queries[0].begin() + 128);
  for (float& q : unscaled.queries[0]) q *= 8;
  for (const Problem* wrong : {&late, &swapped, &unscaled})
    EXPECT_GT(testing::WorstError(RunPlain(*wrong), p.Reference()), 0.05);
}

/// At the far end of a long context. Past keys are few distinct ones in pages that repeat, so that
/// 262 143 of them fit: a row sees each `count` times, and one more of its own.
TEST(SlowCudaAttentionRows, TheLastOf262144Positions) {
  constexpr std::int64_t kEnd = 262144, kDistinct = 2 * kPageTokens;
  const ModelShape shape = Shape(3, 1, 64);
  const Problem near(shape, true, {{kDistinct, 1}});
  Stage stage(shape, true, {{kDistinct, 1}});
  for (std::int64_t p = 0; p < kDistinct; ++p) near.FillPage(stage, 0, p);
  const auto tail = [&](const std::vector<float>& v) {
    return std::vector<float>(v.end() - shape.key_rows(), v.end());
  };
  const Buffers& b = stage.context.buffers;
  stage.Fill(b.q, near.queries[0], true);
  stage.Fill(b.k, tail(near.keys[0]), true), stage.Fill(b.v, tail(near.values[0]), true);
  std::vector<std::byte*> pages;
  for (std::int64_t p = 0; p < kEnd; p += kPageTokens)
    pages.push_back(stage.Page(0, p % kDistinct));
  stage.segments()[0].position = kEnd - 1;
  stage.segments()[0].first_page = 0;
  stage.Tables();
  stage.context.batch.pages = stage.Keep<std::byte*>(testing::ToDevice(pages));
  stage.context.batch.positions =
      stage.Keep<std::int32_t>(testing::ToDevice(std::vector<std::int32_t>{kEnd - 1}));
  stage.Tiles(AttentionTileRows(shape, true));

  // The same sum in float64: distinct key p is seen once for every repetition below kEnd - 1.
  std::vector<double> expected;
  for (std::int64_t h = 0; h < shape.heads; ++h) {
    std::vector<double> sum(64);
    double total = 0;
    const auto add = [&](std::int64_t p, double times) {
      double score = 0;
      for (std::int64_t d = 0; d < 64; ++d)
        score += static_cast<double>(near.queries[0][static_cast<std::size_t>(h * 64 + d)]) *
                 static_cast<double>(near.keys[0][static_cast<std::size_t>(p * 64 + d)]);
      const double w = times * std::exp(score / 8);
      total += w;
      for (std::int64_t d = 0; d < 64; ++d)
        sum[static_cast<std::size_t>(d)] +=
            w * static_cast<double>(near.values[0][static_cast<std::size_t>(p * 64 + d)]);
    };
    for (std::int64_t p = 0; p < kDistinct; ++p)
      add(p, static_cast<double>((kEnd - 1 - p + kDistinct - 1) / kDistinct));
    add(kDistinct, 1);
    for (const double v : sum) expected.push_back(v / total * 0.75);
  }
  const auto run = [&](auto kernel) {
    kernel(stage.context, kLayer);
    const std::vector<float> mixed = testing::FromDevice(b.mixed, stage.MixedWidth(), true);
    return std::vector<float>(mixed.begin() + shape.ssm_inner,
                              mixed.begin() + shape.ssm_inner + shape.query_rows());
  };
  // Outputs are means of many values: a tenth of one in size.
  EXPECT_LE(testing::WorstError(run(AttendPlain), expected), 2e-3);
  EXPECT_LE(testing::WorstError(run(AttendMma), expected), 2e-3);
  if (testing::HasWgmma()) {
    EXPECT_LE(testing::WorstError(run(AttendWgmma), expected), 2e-3);
  }
}

}  // namespace
}  // namespace h1bench::H1_CUDA_NAMESPACE

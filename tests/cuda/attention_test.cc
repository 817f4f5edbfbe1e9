// Every attention kernel against float64 on the same inputs: keys in pages and in the call's own
// rows, at sizes around the tiles; and the comparison itself against planted mistakes.
#include "kernels/cuda/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <ostream>
#include <random>
#include <vector>

#include "kernels/common/convert.h"
#include "tests/cuda/card.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

ModelShape Shape(std::int64_t head_dim, std::int64_t group, std::int64_t kv_heads) {
  ModelShape s;
  s.vocab = 32, s.hidden = 64, s.intermediate = 64, s.layers = 2;
  s.heads = group * kv_heads, s.kv_heads = kv_heads, s.head_dim = head_dim;
  s.ssm_heads = 1, s.ssm_head_dim = 8, s.ssm_inner = 8, s.ssm_groups = 1, s.ssm_state = 8;
  s.conv_taps = 4;
  s.attention_out_multiplier = 0.5F;
  return s;
}

DeviceMemory ToDevice(const void* from, std::size_t bytes) {
  DeviceMemory out = *DeviceMemory::Allocate(static_cast<std::int64_t>(bytes));
  CopyToDevice(out.bytes(), from, out.size(), {});
  return out;
}
template <typename T>
DeviceMemory ToDevice(const std::vector<T>& v) {
  return ToDevice(v.data(), v.size() * sizeof(T));
}

/// Queries, keys and values of one sequence of `tokens`, in layer 1 of two.
struct Problem {
  ModelShape shape;
  std::int64_t tokens;
  std::vector<std::uint16_t> q, k, v;  // (tokens, heads, hd) and (tokens, kv_heads, hd), bf16

  Problem(const ModelShape& s, std::int64_t count) : shape(s), tokens(count) {
    std::mt19937 random(static_cast<std::uint32_t>(count));
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<std::uint16_t>& to, std::int64_t heads) {
      to.resize(static_cast<std::size_t>(tokens * heads * s.head_dim));
      for (std::uint16_t& x : to) x = common::ToBf16(normal(random));
    };
    fill(q, s.heads), fill(k, s.kv_heads), fill(v, s.kv_heads);
    for (std::size_t i = 0; i < q.size(); ++i)  // scores that matter: some rows see one key alone
      q[i] = common::ToBf16(2.0F * common::FromBf16(q[i]));
  }
  double At(const std::vector<std::uint16_t>& m, std::int64_t heads, std::int64_t token,
            std::int64_t head, std::int64_t i) const {
    return static_cast<double>(
        common::FromBf16(m[static_cast<std::size_t>((token * heads + head) * shape.head_dim + i)]));
  }
  /// Output of one token and head; `last` (increasing): the last key it sees.
  std::vector<double> Reference(std::int64_t token, std::int64_t head, std::int64_t last) const {
    const std::int64_t kv = head / (shape.heads / shape.kv_heads), hd = shape.head_dim;
    std::vector<double> weights, out(static_cast<std::size_t>(hd));
    double max = -INFINITY, total = 0;
    for (std::int64_t p = 0; p <= last; ++p) {
      double score = 0;
      for (std::int64_t i = 0; i < hd; ++i)
        score += At(q, shape.heads, token, head, i) * At(k, shape.kv_heads, p, kv, i);
      weights.push_back(score / std::sqrt(static_cast<double>(hd)));
      max = std::max(max, weights.back());
    }
    for (double& w : weights) total += w = std::exp(w - max);
    for (std::int64_t p = 0; p <= last; ++p) {
      for (std::int64_t i = 0; i < hd; ++i)
        out[static_cast<std::size_t>(i)] +=
            weights[static_cast<std::size_t>(p)] / total * 0.5 * At(v, shape.kv_heads, p, kv, i);
    }
    return out;
  }
};

/// The first `before` tokens' keys and values as earlier calls left them.
struct Pages {
  std::vector<DeviceMemory> memory;
  std::vector<std::byte*> table;
  Pages(const Problem& p, const StateLayout& layout, std::int64_t before) {
    const std::int64_t hd = p.shape.head_dim;
    for (std::int64_t page = 0; page * kPageTokens < before; ++page) {
      // What no token has written yet is NaN.
      std::vector<std::byte> bytes(static_cast<std::size_t>(layout.page_bytes), std::byte{0xFF});
      for (std::int64_t t = page * kPageTokens; t < std::min(before, (page + 1) * kPageTokens);
           ++t) {
        for (std::int64_t h = 0; h < p.shape.kv_heads; ++h) {
          const auto from = static_cast<std::size_t>((t * p.shape.kv_heads + h) * hd);
          std::byte* to = bytes.data() + layout.key_at(1, h, t);
          std::memcpy(to, &p.k[from], static_cast<std::size_t>(hd * 2));
          std::memcpy(to + p.shape.kv_heads * layout.head_bytes, &p.v[from],
                      static_cast<std::size_t>(hd * 2));
        }
      }
      memory.push_back(ToDevice(bytes));
      table.push_back(memory.back().bytes());
    }
  }
};

using Kernel = void (*)(const StageContext&, std::int64_t);

/// Outputs (tokens - before, heads, hd) of one call over the tokens from `before` on.
std::vector<std::uint16_t> Attended(const Problem& p, std::int64_t before, Kernel kernel) {
  StageContext c{Dims(p.shape), StateLayout(p.shape, true), {}, {}, true, {}};
  const std::int64_t rows = p.tokens - before, hd = p.shape.head_dim, heads = p.shape.heads;
  const auto tail = [&](const std::vector<std::uint16_t>& m, std::int64_t count) {
    return ToDevice(&m[static_cast<std::size_t>(before * count * hd)],
                    static_cast<std::size_t>(rows * count * hd * 2));
  };
  const DeviceMemory q = tail(p.q, heads), k = tail(p.k, p.shape.kv_heads),
                     v = tail(p.v, p.shape.kv_heads);
  const Pages pages(p, c.layout, before);
  const DeviceMemory table = ToDevice(pages.table);
  DeviceSegment segment{};
  segment.rows = static_cast<std::int32_t>(rows), segment.position = before;
  std::vector<AttentionTile> tiles;
  const std::int64_t tile_rows = AttentionTileRows(p.shape, true);
  for (std::int64_t first = 0; first < rows; first += tile_rows)
    tiles.push_back({0, static_cast<std::int32_t>(first)});
  const DeviceMemory segments = ToDevice(&segment, sizeof segment), on_device = ToDevice(tiles);
  std::vector<std::int32_t> positions(static_cast<std::size_t>(rows)), segment_of(positions.size());
  for (std::size_t i = 0; i < positions.size(); ++i)
    positions[i] = static_cast<std::int32_t>(before) + static_cast<std::int32_t>(i);
  const DeviceMemory d_positions = ToDevice(positions), d_segment_of = ToDevice(segment_of);
  const std::int64_t width = RoundUp(p.shape.ssm_inner + heads * hd, kPadK);
  std::vector<std::uint16_t> mixed(static_cast<std::size_t>(rows * width), 0xFFFF);  // NaN
  const DeviceMemory out = ToDevice(mixed);
  c.batch.segments = segments.as<DeviceSegment>(), c.batch.tiles = on_device.as<AttentionTile>();
  c.batch.pages = table.as<std::byte*>(), c.batch.positions = d_positions.as<std::int32_t>();
  c.batch.segment_of = d_segment_of.as<std::int32_t>();
  c.batch.segment_count = 1, c.batch.rows = rows;
  c.batch.tile_count = static_cast<std::int64_t>(tiles.size());
  c.buffers.q = q.bytes(), c.buffers.k = k.bytes(), c.buffers.v = v.bytes();
  c.buffers.mixed = out.bytes();
  kernel(c, 1);
  CopyToHost(mixed.data(), out.bytes(), out.size(), {});
  Synchronize({});
  const Status status = TakeError();
  EXPECT_TRUE(status.ok()) << status.message();
  std::vector<std::uint16_t> got;
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto from = mixed.begin() + r * width + p.shape.ssm_inner;
    got.insert(got.end(), from, from + heads * hd);
  }
  return got;
}

/// The largest difference from float64, in the largest output.
double Error(const Problem& p, std::int64_t before, const std::vector<std::uint16_t>& got,
             std::int64_t late = 0) {
  double worst = 0, largest = 0;
  std::size_t at = 0;
  for (std::int64_t t = before; t < p.tokens; ++t) {
    for (std::int64_t h = 0; h < p.shape.heads; ++h) {
      for (const double want : p.Reference(t, h, std::max<std::int64_t>(0, t - late))) {
        const double delta = std::abs(static_cast<double>(common::FromBf16(got[at++])) - want);
        worst = std::isnan(delta) ? INFINITY : std::max(worst, delta);
        largest = std::max(largest, std::abs(want));
      }
    }
  }
  return worst / largest;
}

struct Named {
  const char* name;
  Kernel run;
};
std::vector<Named> Kernels() {
  std::vector<Named> out = {{"plain", AttendPlain}, {"mma", AttendMma}};
  if (testing::HasWgmma()) out.push_back({"wgmma", AttendWgmma});
  return out;
}

constexpr double kBound = 1e-2;  // weights and results are rounded to bf16 (2^-9 each)

TEST(CudaAttention, EveryKernelAgreesWithFloat64) {
  struct Size {
    std::int64_t tokens, before;
  };
  for (const ModelShape& shape : {Shape(64, 4, 2), Shape(128, 3, 1), Shape(128, 6, 2)}) {
    for (const Size& size : {Size{1, 0},
                             {2, 1},
                             {63, 0},
                             {64, 63},
                             {65, 64},
                             {128, 127},
                             {129, 3},
                             {130, 128},
                             {200, 130},
                             {257, 190}}) {
      const Problem p(shape, size.tokens);
      for (const Named& kernel : Kernels()) {
        SCOPED_TRACE(fmt::format("{}: hd {}, group {}, {} tokens, {} before", kernel.name,
                                 shape.head_dim, shape.heads / shape.kv_heads, size.tokens,
                                 size.before));
        EXPECT_LE(Error(p, size.before, Attended(p, size.before, kernel.run)), kBound);
      }
    }
  }
}

/// A row's bits do not depend on which rows share its call, nor on where its keys lie.
TEST(CudaAttention, AnyCutGivesTheSameBits) {
  for (const ModelShape& shape : {Shape(64, 4, 1), Shape(128, 5, 1)}) {
    const Problem p(shape, 200);
    for (const Named& kernel : Kernels()) {
      const std::vector<std::uint16_t> whole = Attended(p, 0, kernel.run);
      for (const std::int64_t before : {1, 63, 64, 127, 128, 129, 199}) {
        const std::vector<std::uint16_t> part = Attended(p, before, kernel.run);
        EXPECT_EQ(
            std::memcmp(whole.data() + (whole.size() - part.size()), part.data(), part.size() * 2),
            0)
            << kernel.name << " from token " << before << ", hd " << shape.head_dim;
      }
    }
  }
}

/// A row that sees one key less, and one changed value, are far above the bound.
TEST(CudaAttention, PlantedMistakesAreSeen) {
  const Problem p(Shape(64, 4, 1), 40);
  for (const Named& kernel : Kernels())
    EXPECT_GT(Error(p, 0, Attended(p, 0, kernel.run), 1), 4 * kBound) << kernel.name;
  Problem changed = p;
  changed.v[5] = common::ToBf16(common::FromBf16(changed.v[5]) + 1.0F);
  EXPECT_GT(Error(p, 0, Attended(changed, 0, AttendPlain)), 4 * kBound);
}

#ifdef H1_CUDA_EMULATION
TEST(CudaAttention, AnyThreadOrderGivesTheSameBits) {
  const Problem p(Shape(64, 4, 1), 150);
  const std::vector<std::uint16_t> forward = Attended(p, 20, AttendWgmma);
  for (const auto order : {emulation::ThreadOrder::kReverse, emulation::ThreadOrder::kShuffled}) {
    emulation::SetThreadOrder(order);
    EXPECT_EQ(Attended(p, 20, AttendWgmma), forward);
  }
  emulation::SetThreadOrder(emulation::ThreadOrder::kForward);
}
#endif

}  // namespace
}  // namespace h1bench::H1_CUDA_NAMESPACE

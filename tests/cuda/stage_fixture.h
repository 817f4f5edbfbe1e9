#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "kernels/common/convert.h"
#include "kernels/cuda/stages.h"
#include "tests/cuda/card.h"

/// A StageContext whose buffers have exactly their size and hold NaN until they are written, so
/// that a single stage can be run on numbers that a test made.
namespace h1bench::H1_CUDA_NAMESPACE::testing {

inline float Rounded(float v) { return common::FromBf16(common::ToBf16(v)); }

/// Normal numbers, rounded to bf16 where `bf16`.
inline std::vector<float> Normals(std::int64_t count, std::uint32_t seed, bool bf16 = false) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(static_cast<std::size_t>(count));
  for (float& v : out) v = bf16 ? Rounded(normal(random)) : normal(random);
  return out;
}

inline DeviceMemory ToDevice(const void* from, std::size_t bytes) {
  auto out = DeviceMemory::Allocate(static_cast<std::int64_t>(bytes));
  EXPECT_TRUE(out.ok()) << out.status().message();
  CopyToDevice(out->bytes(), from, out->size(), {});
  Synchronize({});
  return std::move(*out);
}
template <typename T>
DeviceMemory ToDevice(const std::vector<T>& v) {
  return ToDevice(v.data(), v.size() * sizeof(T));
}
/// As the products' input type: bf16 or fp32.
inline DeviceMemory ToDevice(const std::vector<float>& v, bool bf16) {
  if (!bf16) return ToDevice(v);
  std::vector<std::uint16_t> halves;
  for (const float x : v) halves.push_back(common::ToBf16(x));
  return ToDevice(halves);
}
template <typename T>
std::vector<T> FromDevice(const void* from, std::int64_t count) {
  std::vector<T> out(static_cast<std::size_t>(count));
  CopyToHost(out.data(), from, count * static_cast<std::int64_t>(sizeof(T)), {});
  Synchronize({});
  const Status status = TakeError();
  EXPECT_TRUE(status.ok()) << status.message();
  return out;
}
inline std::vector<float> FromDevice(const void* from, std::int64_t count, bool bf16) {
  if (!bf16) return FromDevice<float>(from, count);
  std::vector<float> out;
  for (const std::uint16_t half : FromDevice<std::uint16_t>(from, count))
    out.push_back(common::FromBf16(half));
  return out;
}

/// Largest |got - expected| of all; infinite where one of them is not a number.
inline double WorstError(const std::vector<float>& got, const std::vector<double>& expected) {
  EXPECT_EQ(got.size(), expected.size());
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double delta = std::abs(static_cast<double>(got[i]) - expected[i]);
    worst = std::isnan(delta) ? INFINITY : std::max(worst, delta);
  }
  return worst;
}

inline double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// One segment: `rows` new tokens after `position` old ones.
struct Span {
  std::int64_t position, rows;
};

class Stage {
 public:
  Stage(const ModelShape& shape, bool bf16, const std::vector<Span>& spans)
      : context{Dims(shape),
                StateLayout(shape, bf16),
                {},
                {},
                bf16,
                {},
                ChoosePaths(Dims(shape), bf16, Card())} {
    for (const Span& span : spans) Place(span);
    const std::int64_t rows = context.batch.rows, in = bf16 ? 2 : 4;
    const Dims& d = context.dims;
    Buffers& b = context.buffers;
    b.x = Floats(rows * d.hidden);
    b.normed = New(rows * RoundUp(d.hidden, kPadK) * in);
    b.wide = Floats(rows * d.wide);
    b.conv = New(rows * d.channels * (context.layout.chunked ? 2 : 4));
    b.q = New(rows * d.heads * d.head_dim * in);
    b.k = New(rows * d.kv_heads * d.head_dim * in);
    b.v = New(rows * d.kv_heads * d.head_dim * in);
    b.dt = Floats(rows * d.ssm_heads);
    b.decay = context.layout.chunked ? nullptr : Floats(rows * d.ssm_heads);
    b.y = Floats(rows * d.ssm_inner);
    b.mixed = New(rows * MixedWidth() * in);
    b.cos = Floats(rows * d.head_dim / 2), b.sin = Floats(rows * d.head_dim / 2);
    Tables();
  }

  std::int64_t MixedWidth() const {
    return RoundUp(context.dims.ssm_inner + context.dims.heads * context.dims.head_dim, kPadK);
  }
  /// Memory of its own, all bytes 0xFF.
  void* New(std::int64_t bytes) {
    memory_.push_back(ToDevice(std::vector<unsigned char>(static_cast<std::size_t>(bytes), 0xFF)));
    return memory_.back().bytes();
  }
  float* Floats(std::int64_t count) { return static_cast<float*>(New(count * 4)); }
  /// What was uploaded, kept until the stage goes.
  template <typename T>
  const T* Keep(DeviceMemory memory) {
    memory_.push_back(std::move(memory));
    return memory_.back().as<T>();
  }
  /// Puts `values` into a buffer of the products' input type.
  void Fill(void* to, const std::vector<float>& values, bool bf16) const {
    const DeviceMemory from = ToDevice(values, bf16);
    CopyOnDevice(to, from.bytes(), from.size(), {});
    Synchronize({});
  }

  /// Page of `segment` that holds position `p`.
  std::byte* Page(std::size_t segment, std::int64_t p) const {
    return pages_[static_cast<std::size_t>(segments_[segment].first_page + p / kPageTokens)];
  }
  std::vector<DeviceSegment>& segments() { return segments_; }
  /// Sends the tables again after a test changed segments().
  void Tables() {
    DeviceBatch& b = context.batch;
    b.segments = Keep<DeviceSegment>(ToDevice(segments_));
    b.positions = Keep<std::int32_t>(ToDevice(positions_));
    b.segment_of = Keep<std::int32_t>(ToDevice(segment_of_));
    b.pages = Keep<std::byte*>(ToDevice(pages_));
    b.segment_count = static_cast<std::int64_t>(segments_.size());
  }
  /// Attention tiles of `rows` rows, one kernel's grid.
  void Tiles(std::int64_t rows) {
    std::vector<AttentionTile> tiles;
    for (std::size_t s = 0; s < segments_.size(); ++s)
      for (std::int64_t first = 0; first < segments_[s].rows; first += rows)
        tiles.push_back({static_cast<std::int32_t>(s), static_cast<std::int32_t>(first)});
    context.batch.tiles = Keep<AttentionTile>(ToDevice(tiles));
    context.batch.tile_count = static_cast<std::int64_t>(tiles.size());
  }

  StageContext context;

 private:
  void Place(const Span& span) {
    DeviceSegment segment{};
    segment.first_row = static_cast<std::int32_t>(context.batch.rows);
    segment.rows = static_cast<std::int32_t>(span.rows);
    segment.position = span.position;
    segment.first_page = static_cast<std::int64_t>(pages_.size());
    const std::int64_t pages = CeilDiv(span.position + span.rows, kPageTokens);
    const auto bytes = context.layout.page_bytes;
    auto* const all = static_cast<std::byte*>(New(pages * bytes));
    for (std::int64_t i = 0; i < pages; ++i) pages_.push_back(all + i * bytes);
    for (std::int64_t i = 0; i < span.rows; ++i) {
      positions_.push_back(static_cast<std::int32_t>(span.position + i));
      segment_of_.push_back(static_cast<std::int32_t>(segments_.size()));
    }
    segments_.push_back(segment);
    context.batch.rows += span.rows;
  }

  std::vector<DeviceMemory> memory_;
  std::vector<DeviceSegment> segments_;
  std::vector<std::int32_t> positions_, segment_of_;
  std::vector<std::byte*> pages_;
};

}  // namespace h1bench::H1_CUDA_NAMESPACE::testing

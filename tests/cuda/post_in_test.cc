// Conv, time steps, RoPE, keys and values: the kernel that goes in fours against the plain one, bit
// for bit, over fresh and continued segments and counts around its rows.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/cuda/stages.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

ModelShape Shape() {
  ModelShape s;
  s.vocab = 32, s.hidden = 64, s.intermediate = 64, s.layers = 2;
  s.heads = 6, s.kv_heads = 2, s.head_dim = 64;
  s.ssm_heads = 4, s.ssm_head_dim = 64, s.ssm_inner = 256, s.ssm_groups = 1, s.ssm_state = 128;
  s.conv_taps = 4;
  return s;
}

/// Everything that a call leaves, poisoned before.
struct Outputs {
  std::vector<std::uint8_t> conv, q, k, v;
  std::vector<float> dt, decay;
};

class Problem {
 public:
  Problem(const std::vector<int>& rows, bool bf16)
      : bf16_(bf16), dims_(Shape()), layout_(Shape(), bf16) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      DeviceSegment segment{};
      segment.first_row = static_cast<std::int32_t>(segment_of_.size()), segment.rows = rows[i];
      if (i % 2 == 1) {  // goes on where an earlier call ended
        recent_.push_back(Random(layout_.recent_bytes() / 4));
        segment.recent_in = recent_.back().bytes();
      }
      segments_.push_back(segment);
      segment_of_.insert(segment_of_.end(), static_cast<std::size_t>(rows[i]),
                         static_cast<std::int32_t>(i));
    }
    const auto count = static_cast<std::int64_t>(segment_of_.size());
    wide_ = Random(count * dims_.wide), cos_ = Random(count * dims_.head_dim / 2);
    sin_ = Random(count * dims_.head_dim / 2), conv_ = Random(4 * dims_.channels);
    bias_ = Random(dims_.channels), dt_bias_ = Random(dims_.ssm_heads);
    a_ = Random(dims_.ssm_heads);
  }

  using Kernel = void (*)(const StageContext&, const LayerPointers&, std::int64_t);
  Outputs Run(Kernel kernel) {
    const auto rows = static_cast<std::int64_t>(segment_of_.size());
    const std::int64_t element = bf16_ ? 2 : 4, conv_element = layout_.chunked ? 2 : 4;
    const DeviceMemory conv = Poison(rows * dims_.channels * conv_element),
                       q = Poison(rows * dims_.heads * dims_.head_dim * element),
                       k = Poison(rows * dims_.kv_heads * dims_.head_dim * element),
                       v = Poison(rows * dims_.kv_heads * dims_.head_dim * element),
                       dt = Poison(rows * dims_.ssm_heads * 4),
                       decay = Poison(rows * dims_.ssm_heads * 4);
    const DeviceMemory segments = Upload(segments_), segment_of = Upload(segment_of_);
    StageContext c{dims_, layout_, {}, {}, bf16_, {}};
    c.batch.segments = segments.as<DeviceSegment>();
    c.batch.segment_of = segment_of.as<std::int32_t>();
    c.batch.rows = rows, c.batch.segment_count = static_cast<std::int64_t>(segments_.size());
    c.buffers.wide = wide_.as<float>(), c.buffers.conv = conv.bytes();
    c.buffers.q = q.bytes(), c.buffers.k = k.bytes(), c.buffers.v = v.bytes();
    c.buffers.dt = dt.as<float>();
    c.buffers.decay = layout_.chunked ? nullptr : decay.as<float>();
    c.buffers.cos = cos_.as<float>(), c.buffers.sin = sin_.as<float>();
    LayerPointers w{};
    w.conv = conv_.as<float>(), w.conv_bias = bias_.as<float>();
    w.dt_bias = dt_bias_.as<float>(), w.a = a_.as<float>();
    kernel(c, w, 1);
    return {Bytes<std::uint8_t>(conv), Bytes<std::uint8_t>(q), Bytes<std::uint8_t>(k),
            Bytes<std::uint8_t>(v),    Bytes<float>(dt),       Bytes<float>(decay)};
  }

 private:
  template <typename T>
  static DeviceMemory Upload(const std::vector<T>& v) {
    DeviceMemory out = *DeviceMemory::Allocate(static_cast<std::int64_t>(v.size() * sizeof(T)));
    CopyToDevice(out.bytes(), v.data(), out.size(), {});
    return out;
  }
  DeviceMemory Random(std::int64_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> v(static_cast<std::size_t>(count));
    for (float& x : v) x = normal(random_);
    return Upload(v);
  }
  static DeviceMemory Poison(std::int64_t bytes) {
    return Upload(std::vector<std::uint8_t>(static_cast<std::size_t>(bytes), 0xFF));
  }
  template <typename T>
  static std::vector<T> Bytes(const DeviceMemory& from) {
    std::vector<T> out(static_cast<std::size_t>(from.size()) / sizeof(T));
    CopyToHost(out.data(), from.bytes(), from.size(), {});
    Synchronize({});
    EXPECT_TRUE(TakeError().ok());
    return out;
  }

  bool bf16_;
  Dims dims_;
  StateLayout layout_;
  std::mt19937 random_{11};
  std::vector<DeviceSegment> segments_;
  std::vector<std::int32_t> segment_of_;
  std::vector<DeviceMemory> recent_;
  DeviceMemory wide_, cos_, sin_, conv_, bias_, dt_bias_, a_;
};

template <typename T>
bool Same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

TEST(CudaPostIn, FoursGiveThePlainKernelsBits) {
  ASSERT_EQ(ChoosePaths(Dims(Shape()), true, {}).post_in, Path::kPostInFours);
  // Few rows take one a thread; the last call has more than kFewRows, cut by segments anywhere.
  for (const std::vector<int>& rows : std::vector<std::vector<int>>{
           {1}, {7, 1, 1}, {8, 9}, {1, 2, 3, 4, 17}, {513}, {1, 300, 2, 6, 8, 200, 3, 1, 1}}) {
    for (const bool bf16 : {true, false}) {
      Problem p(rows, bf16);
      const Outputs plain = p.Run(PostInPlain), fours = p.Run(PostInFours);
      EXPECT_TRUE(Same(plain.conv, fours.conv) && Same(plain.q, fours.q) &&
                  Same(plain.k, fours.k) && Same(plain.v, fours.v) && Same(plain.dt, fours.dt) &&
                  Same(plain.decay, fours.decay))
          << rows.size() << " segments, bf16 " << bf16;
      EXPECT_FALSE(std::isnan(plain.dt[0]));  // it was written
    }
  }
}

/// The comparison sees a segment that lost its past.
TEST(CudaPostIn, PlantedLossOfThePastIsSeen) {
  Problem continued({3, 5}, true), fresh({3, 5}, true);
  EXPECT_TRUE(Same(continued.Run(PostInFours).conv, fresh.Run(PostInPlain).conv));
  Problem other({8}, true);
  EXPECT_FALSE(Same(continued.Run(PostInFours).conv, other.Run(PostInPlain).conv));
}

}  // namespace
}  // namespace h1bench::H1_CUDA_NAMESPACE

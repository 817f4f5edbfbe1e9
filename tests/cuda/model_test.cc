// Whole models with the head and state sizes of the released ones (which the golden models are too
// small for), so that the tensor-core attention and the scan by chunks run: against the CPU
// backend, and against themselves in other batches and cuts.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <ostream>
#include <random>

#include "kernels/backend.h"
#include "runner/checkpoint/synthesize.h"
#include "tests/cuda/card.h"

namespace h1bench {
namespace {

using testing::kDevice;

using Ids = std::vector<std::int32_t>;

/// Two layers of a small model whose heads and states are as wide as a released one's.
ModelShape SmallShape(std::int64_t head_dim, std::int64_t state, std::int64_t ssm_head_dim) {
  ModelShape s;
  s.vocab = 300, s.hidden = 96, s.intermediate = 120, s.layers = 2;
  s.heads = 3, s.kv_heads = 1, s.head_dim = head_dim;
  s.ssm_heads = 2, s.ssm_head_dim = ssm_head_dim, s.ssm_inner = 2 * ssm_head_dim;
  s.ssm_groups = 1, s.ssm_state = state, s.conv_taps = 4, s.chunk = 64;
  s.max_positions = 4096;
  s.key_multiplier = 0.5F, s.attention_out_multiplier = 0.7F, s.ssm_out_multiplier = 0.8F;
  return s;
}

struct Made {
  SyntheticModel model;
  std::unique_ptr<Backend> backend;
};
Made Make(const ModelShape& shape, Device device, Precision precision) {
  auto model = SynthesizeInMemory(shape, 5);
  EXPECT_TRUE(model.ok()) << model.status().message();
  BackendOptions options;
  options.device = device;
  options.precision = precision;
  options.max_batch_tokens = options.max_batch_rows = 512;
  auto backend = CreateBackend(model->shape, model->weights, options);
  EXPECT_TRUE(backend.ok()) << backend.status().message();
  return {std::move(*model), backend.ok() ? std::move(*backend) : nullptr};
}

Ids RandomIds(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  Ids ids(count);
  for (auto& id : ids) id = static_cast<std::int32_t>(random() % 300);
  return ids;
}

/// Logits of every row of `ids`, forwarded in pieces.
std::vector<float> Logits(Backend& backend, const Ids& ids, std::size_t piece) {
  const auto vocab = static_cast<std::size_t>(backend.shape().vocab);
  std::vector<float> out(ids.size() * vocab);
  const SlotId slot = *backend.Allocate(2000);
  for (std::size_t first = 0; first < ids.size(); first += piece) {
    const std::size_t count = std::min(piece, ids.size() - first);
    Segment segment{slot, std::span(ids).subspan(first, count), {}, true};
    for (std::size_t i = 0; i < count; ++i)
      segment.rows.push_back({static_cast<std::int32_t>(i), {}, out.data() + (first + i) * vocab});
    const auto result = backend.Forward(std::span(&segment, 1));
    EXPECT_TRUE(result.ok()) << result.status().message();
  }
  backend.Release(slot);
  return out;
}

double Error(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0, largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double delta = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    error = std::isnan(delta) ? INFINITY : std::max(error, delta);
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return error / largest;
}

struct Shape {
  std::int64_t head_dim, state, ssm_head_dim;
};
void PrintTo(const Shape& s, std::ostream* out) {
  *out << s.head_dim << " " << s.state << " " << s.ssm_head_dim;
}
class SlowCudaModels : public ::testing::TestWithParam<Shape> {
 protected:
  ModelShape shape() const {
    return SmallShape(GetParam().head_dim, GetParam().state, GetParam().ssm_head_dim);
  }
};

TEST_P(SlowCudaModels, AgreeWithTheCpu) {
  const Ids ids = RandomIds(150, 1);
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    const Made cpu = Make(shape(), Device::kCpu, Precision::kFp32);
    const Made cuda = Make(shape(), kDevice, precision);
    const double error = Error(Logits(*cuda.backend, ids, 512), Logits(*cpu.backend, ids, 512));
    EXPECT_LE(error, precision == Precision::kFp32 ? 2e-5 : 3e-2) << PrecisionName(precision);
    if (precision == Precision::kBf16) {
      EXPECT_GT(error, 1e-4);  // or bf16 is not what ran
    }
  }
}

TEST_P(SlowCudaModels, AnyCutGivesTheSameBits) {
  const Ids ids = RandomIds(70, 2);
  const Made cuda = Make(shape(), kDevice, Precision::kBf16);
  const std::vector<float> whole = Logits(*cuda.backend, ids, 512);
  for (const std::size_t piece : {1U, 9U, 65U}) {
    const std::vector<float> cut = Logits(*cuda.backend, ids, piece);
    EXPECT_EQ(std::memcmp(whole.data(), cut.data(), whole.size() * 4), 0) << piece;
  }
}

/// Forks in the middle of a page and of a chunk share what lies there until one of them writes.
TEST_P(SlowCudaModels, ForksGiveTheSameBits) {
  const Made cuda = Make(shape(), kDevice, Precision::kBf16);
  const auto vocab = static_cast<std::size_t>(cuda.backend->shape().vocab);
  const Ids prefix = RandomIds(100, 6);
  const auto append = [&](SlotId slot, std::span<const std::int32_t> ids) {
    std::vector<float> last(vocab);
    const Segment segment{
        slot, ids, {{static_cast<std::int32_t>(ids.size()) - 1, {}, last.data()}}, true};
    const auto result = cuda.backend->Forward(std::span(&segment, 1));
    EXPECT_TRUE(result.ok()) << result.status().message();
    return last;
  };
  const SlotId root = *cuda.backend->Allocate(300);
  append(root, prefix);
  const std::vector<SlotId> slots = {*cuda.backend->Fork(root, 300), *cuda.backend->Fork(root, 300),
                                     root};
  std::vector<Ids> ids(slots.size(), prefix);
  std::vector<std::vector<float>> last(slots.size());
  for (const std::size_t piece : {3U, 1U, 40U, 1U}) {  // the third ends a chunk
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const Ids more = RandomIds(piece, static_cast<std::uint32_t>(20 + i));
      last[i] = append(slots[i], more);
      ids[i].insert(ids[i].end(), more.begin(), more.end());
    }
  }
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const SlotId whole = *cuda.backend->Allocate(300);
    EXPECT_EQ(append(whole, ids[i]), last[i]) << i;
    cuda.backend->Release(whole);
  }
  EXPECT_NE(last[0], last[1]);
}

TEST_P(SlowCudaModels, AnyBatchGivesTheSameBits) {
  const Made cuda = Make(shape(), kDevice, Precision::kBf16);
  const auto vocab = static_cast<std::size_t>(cuda.backend->shape().vocab);
  std::vector<Ids> sequences;
  for (std::uint32_t i = 0; i < 5; ++i) sequences.push_back(RandomIds(5 + i * 16, 10 + i));
  std::vector<Segment> segments;
  std::vector<std::vector<float>> last(sequences.size(), std::vector<float>(vocab));
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const SlotId slot = *cuda.backend->Allocate(200);
    const auto offset = static_cast<std::int32_t>(sequences[i].size() - 1);
    segments.push_back({slot, sequences[i], {{offset, {}, last[i].data()}}, i % 2 == 0});
  }
  const auto result = cuda.backend->Forward(segments);
  ASSERT_TRUE(result.ok()) << result.status().message();
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const std::vector<float> alone = Logits(*cuda.backend, sequences[i], 512);
    EXPECT_EQ(std::memcmp(alone.data() + alone.size() - vocab, last[i].data(), vocab * 4), 0) << i;
  }
}

/// A long prompt in pieces of a bounded size: the same bits whatever the pieces, and the CPU's
/// numbers.
TEST(SlowCudaLongContext, PiecesOfAnySizeGiveTheSameBits) {
  ModelShape shape = SmallShape(64, 128, 64);
  shape.hidden = 32, shape.intermediate = 40, shape.layers = 1, shape.ssm_heads = 1;
  shape.ssm_inner = 64, shape.max_positions = 262144;
  const Ids ids = RandomIds(3000, 8);
  const auto last = [&](const Made& made, std::size_t piece) {
    const SlotId slot = *made.backend->Allocate(262144);
    std::vector<float> out(static_cast<std::size_t>(shape.vocab));
    for (std::size_t first = 0; first < ids.size(); first += piece) {
      const std::size_t count = std::min(piece, ids.size() - first);
      const Segment segment{slot,
                            std::span(ids).subspan(first, count),
                            {{static_cast<std::int32_t>(count) - 1, {}, out.data()}},
                            true};
      const auto result = made.backend->Forward(std::span(&segment, 1));
      EXPECT_TRUE(result.ok()) << result.status().message();
    }
    return out;
  };
  const Made cuda = Make(shape, kDevice, Precision::kBf16);
  const std::vector<float> pieces = last(cuda, 512);
  EXPECT_EQ(last(cuda, 333), pieces);
  EXPECT_LE(Error(pieces, last(Make(shape, Device::kCpu, Precision::kFp32), 512)), 3e-2);
}

#ifdef H1_CUDA_EMULATION
/// The same backend as on Hopper: warpgroup products and attention.
TEST_P(SlowCudaModels, HopperKernelsAgreeWithTheCpu) {
  const testing::EmulatedCard hopper(9, 0);
  const Ids ids = RandomIds(150, 1);
  const Made cpu = Make(shape(), Device::kCpu, Precision::kFp32);
  const Made cuda = Make(shape(), kDevice, Precision::kBf16);
  EXPECT_NE(cuda.backend->Identity().find("sm_90"), std::string::npos);
  const std::vector<float> whole = Logits(*cuda.backend, ids, 512);
  EXPECT_LE(Error(whole, Logits(*cpu.backend, ids, 512)), 3e-2);
  EXPECT_EQ(Logits(*cuda.backend, ids, 33), whole);
}

/// Device, multiprocessors, driver and runtime go into every request's key and every sample's line.
TEST(CudaIdentity, NamesTheCardAndItsSoftware) {
  EXPECT_EQ(*DeviceIdentity(kDevice),
            "cuda emulated; sm_80; 4 multiprocessors; driver none, runtime none; own products, no "
            "cuBLASLt");
  const testing::EmulatedCard hopper(9, 0);
  EXPECT_NE(DeviceIdentity(kDevice)->find("; sm_90; "), std::string::npos);
}

/// Decode steps that a graph replays give the bits of steps that are launched, while pages, chunks
/// and the batch change under it.
TEST_P(SlowCudaModels, ReplayedStepsGiveTheSameBits) {
  const auto decode = [&](bool graphs) {
    if (!graphs) setenv("H1BENCH_CUDA_NO_GRAPHS", "1", 1);
    const Made cuda = Make(shape(), kDevice, Precision::kBf16);
    std::vector<SlotId> slots;
    for (std::uint32_t i = 0; i < 3; ++i) {
      slots.push_back(*cuda.backend->Allocate(200));
      const Ids prompt = RandomIds(55 + i * 4, 30 + i);
      const Segment segment{slots.back(), prompt, {}, true};
      EXPECT_TRUE(cuda.backend->Forward(std::span(&segment, 1)).ok());
    }
    const std::int64_t before = emulation::Replays();
    std::vector<double> answers;
    Ids next = {1, 2, 3};
    for (int step = 0; step < 20; ++step) {
      std::vector<Segment> segments;
      for (std::size_t i = 0; i < slots.size(); ++i)
        if (i > 0 || step < 15)  // the first sequence ends early
          segments.push_back({slots[i], std::span(next).subspan(i, 1), {{0, {}, nullptr}}, true});
      const auto result = cuda.backend->Forward(segments);
      EXPECT_TRUE(result.ok()) << result.status().message();
      const std::size_t first = slots.size() - result->size();
      for (std::size_t i = 0; i < result->size(); ++i) {
        answers.push_back((*result)[i].log_sum_exp);
        next[first + i] = (*result)[i].argmax;
      }
    }
    unsetenv("H1BENCH_CUDA_NO_GRAPHS");
    return std::pair(answers, emulation::Replays() - before);
  };
  const auto [launched, none] = decode(false);
  const auto [replayed, count] = decode(true);
  EXPECT_EQ(none, 0);
  EXPECT_GE(count, 12);
  EXPECT_EQ(replayed, launched);
}

/// Kernels without races give the same bits whatever the order in which their threads run.
TEST_P(SlowCudaModels, AnyThreadOrderGivesTheSameBits) {
  const Ids ids = RandomIds(20, 3);
  const Made cuda = Make(shape(), kDevice, Precision::kBf16);
  const std::vector<float> forward = Logits(*cuda.backend, ids, 512);
  for (const auto order : {emulation::ThreadOrder::kReverse, emulation::ThreadOrder::kShuffled}) {
    emulation::SetThreadOrder(order);
    const std::vector<float> other = Logits(*cuda.backend, ids, 512);
    EXPECT_EQ(std::memcmp(forward.data(), other.data(), forward.size() * 4), 0);
  }
  emulation::SetThreadOrder(emulation::ThreadOrder::kForward);
}

/// A batch that does not fit is refused, and the backend goes on.
TEST_P(SlowCudaModels, OutOfMemoryLeavesTheBackendUsable) {
  const Ids ids = RandomIds(40, 4);
  const Made cuda = Make(shape(), kDevice, Precision::kBf16);
  const std::vector<float> before = Logits(*cuda.backend, ids, 512);
  emulation::SetMemoryLimit(1);
  const SlotId slot = *cuda.backend->Allocate(500);
  const Ids more = RandomIds(400, 5);  // more pages than were ever taken
  const Segment segment{slot, more, {}, true};
  const auto refused = cuda.backend->Forward(std::span(&segment, 1));
  emulation::SetMemoryLimit(0);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted) << refused.status().message();
  EXPECT_EQ(cuda.backend->Length(slot), 0);
  EXPECT_EQ(Logits(*cuda.backend, ids, 512), before);
}
#endif

std::string ShapeName(const ::testing::TestParamInfo<Shape>& given) {
  const Shape& s = given.param;
  return fmt::format("hd{}_n{}_p{}", s.head_dim, s.state, s.ssm_head_dim);
}
INSTANTIATE_TEST_SUITE_P(Shapes, SlowCudaModels,
                         ::testing::Values(Shape{64, 128, 64}, Shape{128, 256, 64},
                                           Shape{128, 256, 128}, Shape{80, 96, 24},
                                           Shape{64, 128, 25}),
                         ShapeName);

}  // namespace
}  // namespace h1bench

// The engine's self-test: its stored answers against float64, and wrong kernels that it must see.
#include <gtest/gtest.h>

#include "runner/engine/self_test.h"
#include "tests/device.h"
#include "tests/fakes/fake_backend.h"
#include "tests/runner/known_answers.h"

namespace h1bench {
namespace {

using testing::ReferenceModel;

const SyntheticModel& Model() { return testing::SelfTestModel(); }

TEST(SelfTestAnswers, AreThoseOfFloat64) {
  const ReferenceModel model(Model().shape, Model().weights);
  ASSERT_EQ(KnownAnswers().size(), 64U);
  for (std::size_t i = 0; i < KnownAnswers().size(); i += 8) {
    const KnownAnswer& stored = KnownAnswers()[i];
    double margin = 0;
    const KnownAnswer computed = testing::ComputeAnswer(model, stored.seed, margin);
    EXPECT_EQ(stored.tokens, computed.tokens) << stored.seed;
    EXPECT_NEAR(stored.loglikelihood, computed.loglikelihood, 1e-6) << stored.seed;
    EXPECT_GT(margin, 0.35) << "bf16 may choose another token: " << stored.seed;
  }
}

TEST(SelfTestAnswers, TheFirstSeedsThatStandOut) {
  const std::vector<KnownAnswer> made = testing::MakeKnownAnswers(3);
  for (std::size_t i = 0; i < made.size(); ++i) {
    EXPECT_EQ(made[i].seed, KnownAnswers()[i].seed);
    EXPECT_EQ(made[i].tokens, KnownAnswers()[i].tokens);
    EXPECT_NEAR(made[i].loglikelihood, KnownAnswers()[i].loglikelihood, 1e-6);
  }
}

TEST(SelfTest, TheDeviceComputesTheKnownAnswers) {
  const Status status = SelfTest(testing::TestDevice(), 2);
  EXPECT_TRUE(status.ok()) << status.message();
}

/// The emulated CUDA kernels, which are those of a GPU.
TEST(SlowSelfTest, TheCudaKernelsComputeTheKnownAnswers) {
  const Status status = SelfTest(Device::kCudaEmulated, 2, 6);
  EXPECT_TRUE(status.ok()) << status.message();
}

/// A device with something wrong: its answers to the known prompts must be noticed.
class WrongModel : public ::testing::TestWithParam<const char*> {
 protected:
  static Result<std::unique_ptr<Backend>> Make(const ModelShape& shape, Precision precision) {
    BackendOptions options;
    options.device = testing::TestDevice();
    options.precision = precision;
    options.threads = 2;
    return CreateBackend(shape, Model().weights, options);
  }
};
TEST_P(WrongModel, IsNoticedAtBothPrecisions) {
  ModelShape shape = Model().shape;
  const std::string wrong = GetParam();
  if (wrong == "key multiplier") shape.key_multiplier = 1;
  if (wrong == "rope base") shape.rope_base = 1e4;
  if (wrong == "gate before norm") shape.norm_before_gate = true;
  if (wrong == "B slice by 20 %") shape.ssm_multipliers[2] *= 1.2F;
  if (wrong == "scale of the SSM branch by 5 %") shape.ssm_out_multiplier *= 1.05F;
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    auto backend = Make(shape, precision);
    ASSERT_TRUE(backend.ok()) << backend.status().message();
    const Status status = CheckKnownAnswers(std::move(backend).value(), 64);
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << PrecisionName(precision);
  }
}
INSTANTIATE_TEST_SUITE_P(SelfTest, WrongModel,
                         ::testing::Values("key multiplier", "rope base", "gate before norm",
                                           "B slice by 20 %", "scale of the SSM branch by 5 %"));

std::unique_ptr<Engine> FakeEngine(FakeBackend::Fault fault, std::int64_t max_length = 0) {
  auto backend = std::make_shared<FakeBackend>();
  backend->set_fault(fault);
  EngineParts parts;
  parts.backend = backend;
  parts.plan_memory = FakeBackend::Plan;
  EngineOptions options;
  options.max_length = max_length;
  return Engine::CreateWith(parts, options).value();
}

/// Batches, forks, chunks and order that show in the bits: the second half of the self-test.
TEST(EngineProbe, SeesEveryMistakeOfADevice) {
  using Fault = FakeBackend::Fault;
  const Result<std::string> good = FakeEngine(Fault::kNone)->Probe();
  ASSERT_TRUE(good.ok()) << good.status().message();
  EXPECT_EQ(good->size(), 64U);
  for (const Fault fault : {Fault::kForkLosesLastToken, Fault::kReadLeavesTraces,
                            Fault::kChunksShow, Fault::kBatchShows, Fault::kRowsSwapped}) {
    const Result<std::string> found = FakeEngine(fault)->Probe();
    EXPECT_EQ(found.status().code(), StatusCode::kFailedPrecondition) << static_cast<int>(fault);
  }
  // A model that gives NaN is not the device's fault: its answers say so one by one.
  EXPECT_TRUE(FakeEngine(Fault::kNotFinite)->Probe().ok());
  for (const std::int64_t length : {2, 3, 8, 11})
    EXPECT_TRUE(FakeEngine(Fault::kNone, length)->Probe().ok()) << length;
}

TEST(EngineProbe, GivesOneDigestHoweverTheEngineIsSet) {
  std::string digest;
  for (const std::int64_t batch : {1, 3, 64}) {
    for (const bool reuse : {false, true}) {
      BackendOptions device;
      device.device = testing::TestDevice();
      device.threads = static_cast<int>(batch % 2) + 1;
      EngineParts parts;
      parts.backend = CreateBackend(Model().shape, Model().weights, device).value();
      EngineOptions options;
      options.max_batch = batch;
      options.prefix_reuse = reuse;
      const Result<std::string> found = Engine::CreateWith(parts, options).value()->Probe();
      ASSERT_TRUE(found.ok()) << found.status().message();
      if (digest.empty()) digest = *found;
      EXPECT_EQ(*found, digest);
    }
  }
}

}  // namespace
}  // namespace h1bench

// What a backend refuses, and whether it uses the memory that was planned.
#include "kernels/backend.h"

#include "kernels/cpu/backend.h"
#include "kernels/cpu/vector/table.h"
#include "tests/kernels/golden.h"

namespace h1bench {
namespace {

using testing::Ids;

class BackendTest : public ::testing::Test {
 protected:
  BackendTest() : model_(*Checkpoint::Open(testing::GoldensDir() / "models/plain")) {
    backend_ = testing::MakeBackend(model_, Precision::kFp32, 2, 32);
    slot_ = *backend_->Allocate(100);
  }
  /// The refusal's sentence; the slot must be as before.
  std::string Refusal(const std::vector<Segment>& segments) {
    const std::int64_t before = backend_->Length(slot_);
    const auto result = backend_->Forward(segments);
    EXPECT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(backend_->Length(slot_), before);
    return result.status().message();
  }
  Checkpoint model_;
  std::unique_ptr<Backend> backend_;
  SlotId slot_ = 0;
  Ids few_ = {1, 2, 3};
};

#define EXPECT_SAYS(segments, words) \
  EXPECT_NE(Refusal(segments).find(words), std::string::npos) << Refusal(segments)

TEST_F(BackendTest, RefusesWithTheValue) {
  const Ids many(33, 1), bad = {1, 320}, negative = {-1};
  const std::vector<std::int32_t> target = {500};
  EXPECT_SAYS((std::vector<Segment>{{slot_, many, {}, true}}),
              "33 tokens in one Forward; max_batch_tokens is 32");
  EXPECT_SAYS((std::vector<Segment>{{77, few_, {}, true}}), "there is no slot 77");
  EXPECT_SAYS((std::vector<Segment>{{slot_, {}, {}, true}}), "no ids");
  EXPECT_SAYS((std::vector<Segment>{{slot_, bad, {}, true}}), "id 1 is 320, expected 0 to 319");
  EXPECT_SAYS((std::vector<Segment>{{slot_, negative, {}, true}}), "id 0 is -1");
  EXPECT_SAYS((std::vector<Segment>{{slot_, few_, {{3, {}, nullptr}}, true}}), "row offset 3");
  EXPECT_SAYS((std::vector<Segment>{{slot_, few_, {{1, {}, nullptr}, {1, {}, nullptr}}, true}}),
              "row offset 1 after 1");
  EXPECT_SAYS((std::vector<Segment>{{slot_, few_, {{1, target, nullptr}}, true}}),
              "target 0 is 500");
  EXPECT_SAYS((std::vector<Segment>{{slot_, few_, {}, true}, {slot_, few_, {}, false}}),
              "appears twice");
  EXPECT_SAYS((std::vector<Segment>{{slot_, few_, {}, false}, {slot_, few_, {}, true}}),
              "appears twice");
}

TEST_F(BackendTest, RefusesMoreThanTheSlotHolds) {
  const SlotId small = *backend_->Allocate(2);
  EXPECT_SAYS((std::vector<Segment>{{small, few_, {}, true}}),
              "has 0 tokens and room for 2, 3 more were given");
  EXPECT_FALSE(backend_->Allocate(0).ok());
  EXPECT_FALSE(backend_->Allocate(4097).ok());  // max_position_embeddings is 4096
  EXPECT_FALSE(backend_->Fork(99, 10).ok());
}

TEST_F(BackendTest, RefusesTensorsOfAnotherShape) {
  ModelWeights weights = model_.weights();
  weights.layers[1].down.shape = {48, 79};
  const auto backend = CreateBackend(model_.config().shape, weights, {});
  ASSERT_FALSE(backend.ok());
  EXPECT_EQ(backend.status().message(),
            "model.layers.1: feed_forward.down_proj.weight: expected shape [48, 80], found [48, "
            "79] in 7680 bytes of BF16");
}

TEST_F(BackendTest, MemoryIsAsPlanned) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    const auto backend = testing::MakeBackend(model_, precision, 2, 64);
    std::vector<SlotId> slots;
    const Ids ids(50, 3);
    for (int i = 0; i < 3; ++i) {
      slots.push_back(*backend->Allocate(50));
      const Segment segment{slots.back(), ids, {}, true};
      ASSERT_TRUE(backend->Forward(std::span(&segment, 1)).ok());
    }
    const MemoryPlan plan = PlanMemory(backend->shape(), backend->options(), 3, 50),
                     used = backend->MemoryUsed();
    EXPECT_EQ(plan.weights, used.weights);
    EXPECT_EQ(plan.kv, used.kv);
    EXPECT_EQ(plan.state, used.state);
    EXPECT_EQ(plan.workspace, used.workspace);
    backend->Release(slots[0]);
    EXPECT_EQ(backend->MemoryUsed().kv, plan.kv / 3 * 2);
    EXPECT_EQ(backend->MemoryUsed().state, plan.state / 3 * 2);
  }
}

TEST_F(BackendTest, ForksShareUntilTheyWrite) {
  const Ids ids(20, 3);
  const Segment segment{slot_, ids, {}, true};
  ASSERT_TRUE(backend_->Forward(std::span(&segment, 1)).ok());
  const MemoryPlan one = backend_->MemoryUsed();
  const SlotId fork = *backend_->Fork(slot_, 100);
  EXPECT_EQ(backend_->MemoryUsed().total(), one.total());
  const Segment more{fork, few_, {}, true};
  ASSERT_TRUE(backend_->Forward(std::span(&more, 1)).ok());
  EXPECT_EQ(backend_->MemoryUsed().state, 2 * one.state);
  EXPECT_EQ(backend_->MemoryUsed().kv, one.kv / 2 * 3);  // two pages, and a copy of the partial one
}

TEST(Precision, NamesGoBothWays) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    EXPECT_EQ(*ParsePrecision(PrecisionName(precision)), precision);
  }
  EXPECT_FALSE(ParsePrecision("int3").ok());
  EXPECT_NE(cpu::Identity().find(cpu::Kernels().name), std::string::npos);
}

TEST(VectorKernels, HeadFindsTheSmallestOfEqualMaxima) {
  std::vector<float> logits(100, -1.0F);
  logits[93] = logits[37] = 5.0F;
  std::int32_t argmax = 0;
  float max = 0;
  double log_sum_exp = 0;
  cpu::Kernels().head(logits.data(), 100, 2.0F, &argmax, &max, &log_sum_exp);
  EXPECT_EQ(argmax, 37);
  EXPECT_EQ(max, 10.0F);
  EXPECT_NEAR(log_sum_exp, 10 + std::log(2 + 98 * std::exp(-12.0)), 1e-7);
}

}  // namespace
}  // namespace h1bench

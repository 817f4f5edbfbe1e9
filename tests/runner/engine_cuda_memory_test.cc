// The engine on an emulated card that has less memory than planned: the same answers with what
// there is; a clear end where not even one sequence fits, after which the same engine goes on; and
// the refusal of a model that the card cannot hold.
#include <gtest/gtest.h>

#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/synthesize.h"
#include "tests/cuda/card.h"
#include "tests/runner/engine_fixture.h"

namespace h1bench {
namespace {

using testing::Digest;
using testing::RunAll;

ModelShape Tiny() { return testing::SmallTensorShape(1); }

BackendOptions OnTheCard() {
  BackendOptions options;
  options.device = testing::kDevice;
  options.max_batch_tokens = options.max_batch_rows = 512;
  return options;
}

/// What a card of `slots` sequences of 200 tokens holds beside the model.
std::int64_t SlotBytes(std::int64_t slots) {
  const MemoryPlan plan = PlanMemory(Tiny(), OnTheCard(), slots, 200);
  return plan.kv + plan.state;
}

Result<std::unique_ptr<Engine>> Make(std::int64_t memory_bytes) {
  const auto model = SynthesizeForDevice(Tiny(), 3);
  EXPECT_TRUE(model.ok());
  auto backend = CreateBackend(model->shape, model->weights, OnTheCard());
  EXPECT_TRUE(backend.ok()) << backend.status().message();
  EngineParts parts;
  parts.backend = std::move(*backend);
  parts.eos_ids = {5, 9};
  parts.bos_id = 1;
  EngineOptions options;
  options.memory_bytes = memory_bytes;
  return Engine::CreateWith(std::move(parts), options);
}

/// While it lives, the card has `more` bytes beside what is used now.
class CardWith {
 public:
  explicit CardWith(std::int64_t more) {
    const auto facts = cuda_emulated::QueryDevice();
    emulation::SetMemoryLimit(facts->memory_bytes - facts->free_bytes + more);
  }
  CardWith(const CardWith&) = delete;
  CardWith& operator=(const CardWith&) = delete;
  ~CardWith() { emulation::SetMemoryLimit(0); }
};

TEST(CudaEngineMemory, LessThanPlannedMakesItSlowerNotWrong) {
  const auto requests = testing::MixedRequests(24, 64, 6);
  const std::int64_t planned = PlanMemory(Tiny(), OnTheCard(), 24, 200).total();
  const std::string expected = Digest(RunAll(**Make(planned), requests));
  std::int64_t restarts = 0;
  for (const std::int64_t there : {24, 8, 3}) {
    const auto engine = Make(planned);
    const CardWith memory(SlotBytes(there));
    EXPECT_EQ(Digest(RunAll(**engine, requests)), expected) << there;
    restarts += (*engine)->stats().out_of_memory;
  }
  EXPECT_GE(restarts, 2);
}

TEST(CudaEngineMemory, WhereNothingFitsItEndsClearlyAndGoesOnLater) {
  const auto requests = testing::MixedRequests(6, 64, 7);
  const std::int64_t planned = PlanMemory(Tiny(), OnTheCard(), 24, 200).total();
  const std::string expected = Digest(RunAll(**Make(planned), requests));
  const auto engine = Make(planned);
  {
    const CardWith memory(1);
    std::size_t answers = 0;
    const Status status = (*engine)->Run(requests, [&](EngineResponse) { return ++answers > 0; });
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.message();
    EXPECT_NE(status.message().find("out of memory"), std::string::npos) << status.message();
    EXPECT_EQ(answers, 0U);
  }
  EXPECT_EQ(Digest(RunAll(**engine, requests)), expected);
}

TEST(CudaEngineMemory, AModelThatTheCardCannotHoldIsRefused) {
  const CardWith memory(std::int64_t{64} << 20);  // less than the driver itself takes
  const auto folder = testing::SourceDir() / "demo/models/toy";
  EngineOptions options;
  options.backend = OnTheCard();
  const auto refused = Engine::Create(std::make_shared<const Checkpoint>(*Checkpoint::Open(folder)),
                                      testing::ToyTokenizer(), options);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  for (const char* part : {"the model needs", "MiB", "weights", "the memory budget is", "--memory"})
    EXPECT_NE(refused.status().message().find(part), std::string::npos)
        << refused.status().message();
}

}  // namespace
}  // namespace h1bench

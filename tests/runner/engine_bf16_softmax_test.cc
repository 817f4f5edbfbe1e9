// The parity switch log_softmax: bf16: values, ties, and that nothing else of the engine shows in
// it.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/common/convert.h"
#include "runner/engine/bf16_softmax.h"
#include "tests/runner/engine_fixture.h"

namespace h1bench {
namespace {

using engine::Bf16LogSoftmax;
using testing::Digest;
using testing::MixedRequests;
using testing::RunAll;

// log_softmax(1 2 3) is -2.40761 -1.40761 -0.40761; bf16 has eight significant bits.
TEST(EngineBf16Softmax, RoundsLikeABf16Tensor) {
  const std::vector<float> logits = {1, 2, 3};
  const Bf16LogSoftmax row(logits);
  EXPECT_EQ(row.LogProb(0), -2.40625);
  EXPECT_EQ(row.LogProb(1), -1.40625);
  EXPECT_EQ(row.LogProb(2), -0.408203125);
  EXPECT_EQ(row.argmax(), 2);
}

// Two ids that fp32 tells apart come out equal, and argmax takes the first.
TEST(EngineBf16Softmax, HasTies) {
  const std::vector<float> logits = {1, 19.97F, 20, 3};
  const Bf16LogSoftmax row(logits);
  EXPECT_EQ(row.LogProb(1), row.LogProb(2));
  EXPECT_EQ(row.argmax(), 1);
  EXPECT_NE(row.LogProb(0), row.LogProb(3));
}

std::vector<EngineResponse> Answer(const std::vector<EngineRequest>& requests,
                                   const EngineOptions& options, const BackendOptions& backend) {
  EngineParts parts;
  const auto fake = std::make_shared<FakeBackend>(backend);
  parts.backend = fake;
  parts.eos_ids = {5, 9};
  parts.bos_id = 1;
  parts.plan_memory = FakeBackend::Plan;
  const auto engine = std::move(Engine::CreateWith(std::move(parts), options)).value();
  auto responses = RunAll(*engine, requests);
  EXPECT_EQ(fake->misuse(), "");
  return responses;
}

/// Every other scoring request in bf16.
std::vector<EngineRequest> Requests() {
  std::vector<EngineRequest> requests = MixedRequests(60, 64, 3);
  for (EngineRequest& request : requests) request.bf16_softmax = request.tag % 2 == 0;
  return requests;
}

/// Of the request on its own: rounded logits, rounded log-probabilities, rounded sum.
double Expected(const EngineRequest& request, std::size_t continuation) {
  const FakeBackend model;
  std::vector<std::int32_t> ids = request.context_ids;
  float sum = 0;
  for (const std::int32_t id : request.continuation_ids[continuation]) {
    std::vector<double> rounded;
    for (const float logit : model.Logits(ids))
      rounded.push_back(static_cast<double>(common::FromBf16(common::ToBf16(logit))));
    double total = 0;
    for (const double logit : rounded) total += std::exp(logit);
    const double value = rounded[static_cast<std::size_t>(id)] - std::log(total);
    sum += common::FromBf16(common::ToBf16(static_cast<float>(value)));
    ids.push_back(id);
  }
  return static_cast<double>(common::FromBf16(common::ToBf16(sum)));
}

TEST(EngineBf16Softmax, OfARequestAndNotOfItsNeighbours) {
  auto plain = Requests();
  const auto mixed = Answer(plain, {}, {});
  for (EngineRequest& request : plain) request.bf16_softmax = false;
  const auto fp32 = Answer(plain, {}, {});
  int compared = 0, different = 0;
  for (const EngineRequest& request : Requests()) {
    const auto tag = static_cast<std::size_t>(request.tag);
    for (std::size_t c = 0; c < request.continuation_ids.size(); ++c) {
      if (!request.bf16_softmax) {
        EXPECT_EQ(mixed[tag].loglikelihoods[c], fp32[tag].loglikelihoods[c]);
        continue;
      }
      EXPECT_EQ(mixed[tag].loglikelihoods[c], Expected(request, c)) << tag;
      ++compared;
      different += mixed[tag].loglikelihoods[c] != fp32[tag].loglikelihoods[c];
    }
  }
  EXPECT_GT(compared, 20);
  EXPECT_EQ(different, compared);
}

TEST(EngineBf16Softmax, BatchesAndReuseDoNotShow) {
  const std::string digest = Digest(Answer(Requests(), {}, {}));
  for (const std::int64_t rows : {1, 7, 512}) {
    for (const bool reuse : {false, true}) {
      EngineOptions options;
      options.prefix_reuse = reuse;
      options.prefill_chunk = rows == 7 ? 5 : 512;
      BackendOptions backend;
      backend.max_batch_rows = rows;
      EXPECT_EQ(Digest(Answer(Requests(), options, backend)), digest) << rows << " " << reuse;
    }
  }
}

}  // namespace
}  // namespace h1bench

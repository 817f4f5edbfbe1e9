// Batches that come while others are under way, on a backend whose logits are a hash of all token
// ids so far.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>

#include "tests/runner/engine_fixture.h"

namespace h1bench {
namespace {

using testing::Digest;
using testing::MixedRequests;
using testing::RunAll;

struct Served {
  std::shared_ptr<FakeBackend> backend;
  std::unique_ptr<Engine> engine;
};

Served Make(const EngineOptions& options, const BackendOptions& device = {}) {
  Served made;
  made.backend = std::make_shared<FakeBackend>(device);
  EngineParts parts;
  parts.backend = made.backend;
  parts.eos_ids = {5, 9};
  parts.bos_id = 1;
  parts.plan_memory = FakeBackend::Plan;
  made.engine = std::move(Engine::CreateWith(std::move(parts), options)).value();
  return made;
}

/// `count` requests in `pieces` batches, tags as in the whole.
std::vector<std::vector<EngineRequest>> Cut(const std::vector<EngineRequest>& requests,
                                            std::size_t pieces) {
  std::vector<std::vector<EngineRequest>> batches(pieces);
  for (std::size_t i = 0; i < requests.size(); ++i)
    batches[i * pieces / requests.size()].push_back(requests[i]);
  return batches;
}

/// Serves the batches, each given as soon as the engine asks, and returns all responses by tag.
std::vector<EngineResponse> ServeAll(Engine& engine,
                                     const std::vector<std::vector<EngineRequest>>& batches,
                                     Status* status = nullptr) {
  std::vector<EngineResponse> responses;
  std::size_t next = 0;
  const Status served = engine.Serve([&](bool) -> EngineWork {
    if (next == batches.size()) return {};
    return {engine.Prepare(batches[next++], 1), [&](EngineResponse response) {
              responses.push_back(std::move(response));
              return true;
            }};
  });
  if (status != nullptr) *status = served;
  std::ranges::sort(responses, {}, &EngineResponse::tag);
  return responses;
}

TEST(EngineServe, BitsDoNotDependOnTheBatchesBesideThem) {
  const auto requests = MixedRequests(70, 64, 2);
  const std::string expected = Digest(RunAll(*Make({}).engine, requests));
  int combinations = 0;
  for (const std::size_t pieces : {1, 2, 7, 70})
    for (const std::int64_t batch : {1, 3, 64})
      for (const std::int64_t chunk : {7, 512})
        for (const std::int64_t tokens : {33, 2048})
          for (const std::int64_t rows : {1, 512})
            for (const std::int64_t slots : {4, 1000}) {
              EngineOptions options;
              options.max_batch = batch;
              options.prefill_chunk = chunk;
              options.memory_bytes = FakeBackend::Plan(slots, 200).total();
              BackendOptions device;
              device.max_batch_tokens = tokens;
              device.max_batch_rows = rows;
              Served made = Make(options, device);
              Status status;
              const auto responses = ServeAll(*made.engine, Cut(requests, pieces), &status);
              ASSERT_TRUE(status.ok()) << status.message();
              ASSERT_EQ(Digest(responses), expected)
                  << pieces << " batches, batch " << batch << " chunk " << chunk << " tokens "
                  << tokens << " rows " << rows << " slots " << slots;
              EXPECT_EQ(made.backend->misuse(), "");
              EXPECT_EQ(made.backend->live_slots(), 0U);
              EXPECT_LE(made.backend->peak_bytes(), options.memory_bytes);
              EXPECT_LE(made.engine->used_memory().total(), made.engine->planned_memory().total());
              ++combinations;
            }
  EXPECT_EQ(combinations, 192);
}

/// A subject: `prefix` tokens before `questions` of ten.
std::vector<EngineRequest> Subject(std::int32_t first, std::size_t prefix, int questions) {
  std::vector<EngineRequest> requests(static_cast<std::size_t>(questions));
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].tag = static_cast<std::int64_t>(i);
    requests[i].context_ids.assign(prefix, first);
    requests[i].context_ids.push_back(static_cast<std::int32_t>(32 + i));
    requests[i].context_ids.resize(prefix + 10, 7);
    requests[i].continuation_ids = {{10}, {11}, {12}, {13}};
  }
  return requests;
}

/// The examples of the next subject are computed in the last Forward of the one before, and a
/// Forward that one subject does not fill is filled by the next.
TEST(EngineServe, TheNextBatchFillsTheRoomThatIsLeft) {
  BackendOptions device;
  device.max_batch_tokens = 200;
  std::vector<std::vector<EngineRequest>> subjects;
  for (int i = 0; i < 8; ++i) subjects.push_back(Subject(i, 60, 12));  // 60, then 120
  Served apart = Make({}, device);
  for (const auto& subject : subjects) RunAll(*apart.engine, subject);
  EXPECT_EQ(apart.backend->forward_calls(), 16);
  Served together = Make({}, device);
  EXPECT_EQ(ServeAll(*together.engine, subjects).size(), 8U * 12);
  EXPECT_EQ(together.backend->fed_tokens(), 8 * 180);
  EXPECT_LE(together.backend->forward_calls(), 9);  // 1 440 tokens are 7.2 Forwards
  EXPECT_LE(together.backend->largest_call(), 200);
}

/// A question that only reads its subject's examples holds nothing: max_batch does not count it.
TEST(EngineServe, QuestionsThatReadAPrefixDoNotCountAsSequences) {
  EngineOptions options;
  options.max_batch = 2;
  Served made = Make(options);
  RunAll(*made.engine, Subject(1, 60, 30));
  EXPECT_EQ(made.backend->forward_calls(), 2);
  EXPECT_EQ(made.backend->most_segments(), 30);
}

/// While generations fill the house no other batch is taken up; afterwards places are refilled
/// across batches, so that few Forwards are half empty.
TEST(EngineServe, GenerationsOfTheNextBatchTakeFreePlaces) {
  std::vector<std::vector<EngineRequest>> batches(6);
  std::int64_t tokens = 0;
  for (std::size_t b = 0; b < batches.size(); ++b)
    for (std::size_t i = 0; i < 4; ++i) {
      EngineRequest& request = batches[b].emplace_back();
      request.tag = static_cast<std::int64_t>(b * 4 + i);
      request.context_ids = {static_cast<std::int32_t>(b), static_cast<std::int32_t>(i), 3};
      request.max_new_tokens = i == 0 ? 40 : 4;
      request.ignore_eos = true;
      tokens += request.max_new_tokens;
    }
  EngineOptions options;
  options.max_batch = 4;
  Served apart = Make(options);
  for (const auto& batch : batches) RunAll(*apart.engine, batch);
  EXPECT_GE(apart.backend->forward_calls(), 6 * 40);
  Served together = Make(options);
  std::size_t under_way = 0, most = 0, next = 0;
  std::map<std::size_t, std::size_t> left;
  ASSERT_TRUE(together.engine
                  ->Serve([&](bool) -> EngineWork {
                    if (next == batches.size()) return {};
                    const std::size_t mine = next++;
                    left[mine] = batches[mine].size();
                    most = std::max(most, ++under_way);
                    return {together.engine->Prepare(batches[mine], 1), [&, mine](EngineResponse) {
                              if (--left[mine] == 0) --under_way;
                              return true;
                            }};
                  })
                  .ok());
  EXPECT_EQ(under_way, 0U);
  EXPECT_LE(most, 5U);  // four long ones that still go on, and the one that begins
  EXPECT_LE(together.backend->forward_calls(), tokens / 4 + 60);
}

TEST(EngineServe, ADroppedBatchLeavesTheOthersAlone) {
  const auto requests = MixedRequests(60, 64, 3);
  const auto batches = Cut(requests, 3);
  const auto expected = RunAll(*Make({}).engine, batches[2]);
  BackendOptions device;
  device.max_batch_tokens = 40;
  Served made = Make({}, device);
  std::vector<EngineResponse> kept;
  std::size_t next = 0, of_dropped = 0;
  ASSERT_TRUE(made.engine
                  ->Serve([&](bool) -> EngineWork {
                    if (next == batches.size()) return {};
                    const bool last = next == 2;
                    return {made.engine->Prepare(batches[next++], 1),
                            [&, last](EngineResponse response) {
                              if (last) kept.push_back(std::move(response));
                              if (!last) ++of_dropped;
                              return last;
                            }};
                  })
                  .ok());
  EXPECT_EQ(of_dropped, 2U);  // one answer each, and no other after the false
  std::ranges::sort(kept, {}, &EngineResponse::tag);
  EXPECT_EQ(Digest(kept), Digest(expected));
  EXPECT_EQ(made.backend->live_slots(), 0U);
  EXPECT_EQ(made.backend->misuse(), "");
}

TEST(EngineServe, LessMemoryThanPlannedWithSeveralUnderWay) {
  const auto requests = MixedRequests(80, 64, 6);
  const std::string expected = Digest(RunAll(*Make({}).engine, requests));
  const std::int64_t planned = FakeBackend::Plan(60, 200).total();
  std::int64_t restarts = 0;
  for (const std::int64_t there : {planned, planned / 2, planned / 4, planned / 8}) {
    EngineOptions options;
    options.memory_bytes = planned;
    Served made = Make(options);
    made.backend->set_memory(there);
    Status status;
    // Some are taken up after the limit fell: their plans were made for more.
    const auto responses = ServeAll(*made.engine, Cut(requests, 5), &status);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(Digest(responses), expected) << there;
    EXPECT_EQ(made.backend->live_slots(), 0U);
    EXPECT_EQ(made.backend->misuse(), "");
    restarts += made.engine->stats().out_of_memory;
  }
  EXPECT_GT(restarts, 0);
}

TEST(EngineServe, RefusedRequestsDoNotStopIt) {
  auto requests = MixedRequests(12, 64, 7);
  for (std::size_t i = 4; i < 8; ++i) requests[i].context_ids.assign(5000, 2);  // a batch of them
  for (std::size_t i = 4; i < 8; ++i) requests[i].continuation_ids.clear();
  for (std::size_t i = 4; i < 8; ++i) requests[i].max_new_tokens = 0;
  Status status;
  const auto responses = ServeAll(*Make({}).engine, Cut(requests, 3), &status);
  EXPECT_TRUE(status.ok()) << status.message();
  ASSERT_EQ(responses.size(), 12U);
  for (std::size_t i = 0; i < 12; ++i) EXPECT_EQ(responses[i].status.ok(), i < 4 || i >= 8) << i;
}

/// Made ready in another thread while the engine computes: what a worker does.
TEST(EngineServe, PreparesBesideServe) {
  Served made = Make({});
  std::vector<std::vector<EngineRequest>> batches;
  std::vector<std::string> texts;
  for (int b = 0; b < 20; ++b) batches.push_back(MixedRequests(30, 64, static_cast<unsigned>(b)));
  std::vector<std::unique_ptr<EngineBatch>> ready(batches.size());
  std::vector<std::atomic<bool>> is_ready(batches.size());
  std::jthread preparer([&] {
    for (std::size_t b = 0; b < batches.size(); ++b) {
      ready[b] = made.engine->Prepare(batches[b], 2);
      is_ready[b] = true;
    }
  });
  std::vector<std::vector<EngineResponse>> responses(batches.size());
  std::size_t next = 0;
  ASSERT_TRUE(made.engine
                  ->Serve([&](bool idle) -> EngineWork {
                    if (next == batches.size()) return {};
                    while (idle && !is_ready[next]) std::this_thread::yield();
                    if (!is_ready[next]) return {};
                    const std::size_t mine = next++;
                    return {std::move(ready[mine]), [&, mine](EngineResponse response) {
                              responses[mine].push_back(std::move(response));
                              return true;
                            }};
                  })
                  .ok());
  EXPECT_GT(made.engine->stats().prepare_seconds, 0);
  for (std::size_t b = 0; b < batches.size(); ++b) {
    std::ranges::sort(responses[b], {}, &EngineResponse::tag);
    EXPECT_EQ(Digest(responses[b]), Digest(RunAll(*Make({}).engine, batches[b])));
  }
}

}  // namespace
}  // namespace h1bench

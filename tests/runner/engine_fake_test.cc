// The engine on a backend whose logits are a hash of all token ids so far.
#include <gtest/gtest.h>

#include <functional>

#include "tests/fakes/fake_clock.h"
#include "tests/runner/engine_fixture.h"

namespace h1bench {
namespace {

using testing::Digest;
using testing::MixedRequests;
using testing::RunAll;

struct Config {
  EngineOptions engine;
  BackendOptions backend;
  FakeBackend::Fault fault = FakeBackend::Fault::kNone;
};

struct FakeEngine {
  std::shared_ptr<FakeBackend> backend;
  std::unique_ptr<Engine> engine;
};

FakeEngine Make(const Config& setup) {
  FakeEngine made;
  made.backend = std::make_shared<FakeBackend>(setup.backend);
  made.backend->set_fault(setup.fault);
  EngineParts parts;
  parts.backend = made.backend;
  parts.eos_ids = {5, 9};
  parts.bos_id = 1;
  parts.plan_memory = FakeBackend::Plan;
  auto engine = Engine::CreateWith(std::move(parts), setup.engine);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  made.engine = std::move(engine).value();
  return made;
}

/// Runs and checks that the backend was used well.
std::vector<EngineResponse> Answer(const Config& setup,
                                   const std::vector<EngineRequest>& requests) {
  FakeEngine made = Make(setup);
  std::vector<EngineResponse> responses = RunAll(*made.engine, requests);
  EXPECT_EQ(made.backend->misuse(), "");
  EXPECT_EQ(made.backend->live_slots(), 0U);
  return responses;
}

EngineResponse AnswerAlone(const EngineRequest& request) { return Answer({}, {request}).at(0); }

TEST(EngineFake, LogLikelihoodsAreThoseOfTheModel) {
  const FakeBackend model;
  const auto requests = MixedRequests(60, 64, 1);
  const auto responses = Answer({}, requests);
  for (const EngineRequest& request : requests) {
    const EngineResponse& response = responses[static_cast<std::size_t>(request.tag)];
    for (std::size_t c = 0; c < request.continuation_ids.size(); ++c) {
      std::vector<std::int32_t> ids = request.context_ids;
      double sum = 0;
      bool greedy = true;
      for (const std::int32_t id : request.continuation_ids[c]) {
        const auto logits = model.Logits(ids);
        const RowResult row = FakeBackend::Answer(logits, std::span(&id, 1));
        sum += static_cast<double>(row.target_logits[0]) - row.log_sum_exp;
        greedy = greedy && row.argmax == id;
        ids.push_back(id);
      }
      EXPECT_EQ(response.loglikelihoods[c], sum) << request.tag;
      EXPECT_EQ(response.is_greedy[c], greedy);
    }
  }
}

TEST(EngineFake, GreedyIdsAreThoseOfTheModel) {
  const FakeBackend model;
  EngineRequest request;
  request.context_ids = {7, 8, 9};
  request.max_new_tokens = 40;
  request.ignore_eos = true;
  const EngineResponse response = AnswerAlone(request);
  std::vector<std::int32_t> ids = request.context_ids;
  for (const std::int32_t id : response.generated_ids) {
    EXPECT_EQ(id, FakeBackend::Answer(model.Logits(ids), {}).argmax);
    ids.push_back(id);
  }
  EXPECT_EQ(response.generated_tokens, 40);
  EXPECT_EQ(response.finish, "length");
}

TEST(EngineFake, IsGreedyHoldsForTheModelsOwnContinuation) {
  EngineRequest generate;
  generate.context_ids = {3, 1, 4, 1, 5};
  generate.max_new_tokens = 6;
  generate.ignore_eos = true;
  EngineRequest score;
  score.context_ids = generate.context_ids;
  score.continuation_ids = {AnswerAlone(generate).generated_ids};
  score.continuation_ids.push_back(score.continuation_ids[0]);
  score.continuation_ids[1].back() ^= 1;
  const EngineResponse response = AnswerAlone(score);
  EXPECT_TRUE(response.is_greedy[0]);
  EXPECT_FALSE(response.is_greedy[1]);
}

/// L1 and L2: one digest for every way to run the same requests.
TEST(EngineFake, BitsDoNotDependOnHowTheyWereComputed) {
  auto requests = MixedRequests(70, 64, 2);
  const std::string expected = Digest(Answer({}, requests));
  std::string alone;
  std::vector<EngineResponse> singles;
  for (const EngineRequest& request : requests) singles.push_back(AnswerAlone(request));
  EXPECT_EQ(Digest(singles), expected);
  std::mt19937 random(3);
  int combinations = 0;
  for (const std::int64_t batch : {1, 3, 8, 64})
    for (const std::int64_t chunk : {1, 7, 64, 512})
      for (const std::int64_t tokens : {1, 33, 2048})
        for (const std::int64_t rows : {1, 5, 512})
          for (const bool reuse : {false, true}) {
            Config setup;
            setup.engine.max_batch = batch;
            setup.engine.prefill_chunk = chunk;
            setup.engine.prefix_reuse = reuse;
            setup.backend.max_batch_tokens = tokens;
            setup.backend.max_batch_rows = rows;
            std::ranges::shuffle(requests, random);
            ASSERT_EQ(Digest(Answer(setup, requests)), expected)
                << "batch " << batch << " chunk " << chunk << " tokens " << tokens << " rows "
                << rows << " reuse " << reuse;
            ++combinations;
          }
  EXPECT_EQ(combinations, 288);
}

TEST(EngineFake, EveryFaultShows) {
  const auto requests = MixedRequests(40, 64, 4);
  const std::string expected = Digest(Answer({}, requests));
  using Fault = FakeBackend::Fault;
  for (const Fault fault : {Fault::kForkLosesLastToken, Fault::kReadLeavesTraces,
                            Fault::kChunksShow, Fault::kBatchShows, Fault::kRowsSwapped}) {
    Config setup;
    setup.fault = fault;
    setup.engine.prefill_chunk = 7;
    EXPECT_NE(Digest(Answer(setup, requests)), expected) << static_cast<int>(fault);
  }
}

TEST(EngineFake, SharedPrefixesAreComputedOnce) {
  // A subject: 100 tokens before 20 questions of 10, four answers of one token each.
  std::mt19937 random(5);
  const auto prefix = testing::RandomIds(random, 100, 64);
  std::vector<EngineRequest> requests(20);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].tag = static_cast<std::int64_t>(i);
    requests[i].context_ids = prefix;
    requests[i].context_ids.push_back(static_cast<std::int32_t>(i));
    const auto question = testing::RandomIds(random, 9, 64);
    requests[i].context_ids.insert(requests[i].context_ids.end(), question.begin(), question.end());
    requests[i].continuation_ids = {{10}, {11}, {12}, {13}};
  }
  FakeEngine shared = Make({});
  const auto responses = RunAll(*shared.engine, requests);
  EXPECT_EQ(shared.backend->fed_tokens(), 100 + 20 * 10);
  EXPECT_EQ(shared.engine->stats().fed_tokens, 300);
  EXPECT_EQ(shared.engine->stats().forks, 0);  // questions read the prefix's slot
  EXPECT_EQ(shared.engine->stats().peak_slots, 1);
  std::int64_t computed = 0;
  for (const EngineResponse& response : responses) {
    EXPECT_EQ(response.prompt_tokens, 110);
    computed += response.prompt_tokens - response.reused_tokens;
  }
  EXPECT_EQ(computed, 300);
  Config apart;
  apart.engine.prefix_reuse = false;
  FakeEngine scratch = Make(apart);
  EXPECT_EQ(Digest(RunAll(*scratch.engine, requests)), Digest(responses));
  EXPECT_EQ(scratch.backend->fed_tokens(), 20 * 110);  // one forward for four answers
}

TEST(EngineFake, SeveralSamplesOfOnePromptForkFromIt) {
  std::vector<EngineRequest> requests(8);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].tag = static_cast<std::int64_t>(i);
    requests[i].context_ids = std::vector<std::int32_t>(50, 3);
    requests[i].max_new_tokens = 12;
    requests[i].temperature = 1;
    requests[i].sampling_key = std::to_string(i);
    requests[i].ignore_eos = true;
  }
  FakeEngine made = Make({});
  const auto responses = RunAll(*made.engine, requests);
  EXPECT_EQ(made.backend->fed_tokens(), 50 + 8 * 11);  // the last token is not fed
  EXPECT_NE(responses[0].generated_ids, responses[1].generated_ids);
  for (const EngineRequest& request : requests) {
    const EngineResponse alone = AnswerAlone(request);
    EXPECT_EQ(alone.generated_ids, responses[static_cast<std::size_t>(request.tag)].generated_ids);
  }
}

TEST(EngineFake, StaysInsideTheMemoryBudget) {
  const auto requests = MixedRequests(80, 64, 6);
  const std::string expected = Digest(Answer({}, requests));
  std::int64_t longest = 0;
  for (const EngineRequest& request : requests) {
    std::size_t most = static_cast<std::size_t>(request.max_new_tokens);
    for (const auto& ids : request.continuation_ids) most = std::max(most, ids.size());
    longest = std::max(longest, static_cast<std::int64_t>(request.context_ids.size() + most));
  }
  const std::int64_t least = FakeBackend::Plan(1, longest).total();
  for (const std::int64_t extra : {0, 500, 1500, 3000, 6000, 20000, 100000}) {
    Config setup;
    setup.engine.memory_bytes = least + extra;
    FakeEngine made = Make(setup);
    EXPECT_EQ(Digest(RunAll(*made.engine, requests)), expected) << extra;
    EXPECT_LE(made.backend->peak_bytes(), setup.engine.memory_bytes);
    EXPECT_EQ(made.backend->misuse(), "");
    EXPECT_LE(made.engine->used_memory().total(), made.engine->planned_memory().total());
    EXPECT_LE(made.engine->planned_memory().total(), setup.engine.memory_bytes);
  }
}

/// A device with less than planned: the same bits with what there is, each answer once, nothing
/// left behind; and a clear end when not even one sequence fits.
TEST(EngineFake, LessMemoryThanPlannedMakesItSlowerNotWrong) {
  const auto requests = MixedRequests(80, 64, 6);
  const std::string expected = Digest(Answer({}, requests));
  const std::int64_t planned = FakeBackend::Plan(60, 200).total();
  std::int64_t restarts = 0;
  for (const std::int64_t there : {planned, planned / 2, planned / 4, planned / 8}) {
    Config setup;
    setup.engine.memory_bytes = planned;
    FakeEngine made = Make(setup);
    made.backend->set_memory(there);
    EXPECT_EQ(Digest(RunAll(*made.engine, requests)), expected) << there;
    EXPECT_EQ(made.backend->refused_calls(), made.engine->stats().out_of_memory);
    EXPECT_EQ(made.backend->live_slots(), 0U);
    EXPECT_EQ(made.backend->misuse(), "");
    restarts += made.engine->stats().out_of_memory;
  }
  EXPECT_GT(restarts, 0);
  Config setup;
  setup.engine.memory_bytes = planned;
  FakeEngine made = Make(setup);
  made.backend->set_memory(FakeBackend::kFixedBytes + 1);
  std::size_t answers = 0;
  const Status status = made.engine->Run(requests, [&](EngineResponse) { return ++answers > 0; });
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.message();
  EXPECT_LT(answers, requests.size());
  EXPECT_EQ(made.backend->live_slots(), 0U);
}

TEST(EngineFake, ARequestThatCannotFitIsRefusedAlone) {
  auto requests = MixedRequests(10, 64, 7);
  requests[4].context_ids.assign(3000, 2);
  Config setup;
  setup.engine.memory_bytes = FakeBackend::Plan(2, 300).total();
  FakeEngine made = Make(setup);
  const auto responses = RunAll(*made.engine, requests);
  for (std::size_t i = 0; i < responses.size(); ++i)
    EXPECT_EQ(responses[i].status.ok(), i != 4) << responses[i].status.message();
  EXPECT_EQ(responses[4].status.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(responses[4].status.message().find("--memory"), std::string::npos);
  setup.engine.memory_bytes = 100;  // less than the model
  EngineParts parts;
  parts.backend = std::make_shared<FakeBackend>();
  parts.plan_memory = FakeBackend::Plan;
  EXPECT_EQ(Engine::CreateWith(std::move(parts), setup.engine).status().code(),
            StatusCode::kResourceExhausted);
}

TEST(EngineFake, LimitsAreKept) {
  const auto requests = MixedRequests(50, 64, 8);
  Config setup;
  setup.engine.max_batch = 5;
  setup.engine.prefill_chunk = 20;
  setup.backend.max_batch_tokens = 70;
  FakeEngine made = Make(setup);
  RunAll(*made.engine, requests);
  EXPECT_LE(made.backend->most_kept(), 5);
  EXPECT_LE(made.backend->largest_segment(), 20);
  EXPECT_GT(made.backend->largest_call(), 60);  // calls are filled
}

TEST(EngineFake, SlotsAreRefilledAsSequencesEnd) {
  std::vector<EngineRequest> requests(40);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].tag = static_cast<std::int64_t>(i);
    requests[i].context_ids = {static_cast<std::int32_t>(i), 2, 3};
    requests[i].max_new_tokens = 2 + static_cast<std::int64_t>(i % 10) * 4;
    requests[i].ignore_eos = true;
  }
  Config setup;
  setup.engine.max_batch = 4;
  FakeEngine made = Make(setup);
  RunAll(*made.engine, requests);
  std::int64_t tokens = 0;
  for (const EngineRequest& request : requests) tokens += request.max_new_tokens;
  // Batches of four that wait for their slowest would need far more calls than a full house does.
  EXPECT_LE(made.backend->forward_calls(), tokens / 4 + 40);
}

TEST(EngineFake, StoppingAndFailingReleaseEverySlot) {
  const auto requests = MixedRequests(30, 64, 9);
  FakeEngine made = Make({});
  int answered = 0;
  const Status stopped =
      made.engine->Run(requests, [&](const EngineResponse&) { return ++answered < 7; });
  EXPECT_EQ(stopped.code(), StatusCode::kCancelled);
  EXPECT_EQ(answered, 7);
  EXPECT_EQ(made.backend->live_slots(), 0U);
  made.backend->set_failing_call(made.backend->forward_calls() + 3);
  const Status failed = made.engine->Run(requests, [](const EngineResponse&) { return true; });
  EXPECT_EQ(failed.code(), StatusCode::kUnavailable);
  EXPECT_EQ(made.backend->live_slots(), 0U);
  EXPECT_EQ(made.backend->misuse(), "");
  EXPECT_EQ(Digest(RunAll(*made.engine, requests)),
            Digest(Answer({}, requests)));  // goes on after it
}

TEST(EngineFake, EosEndsAndIsCounted) {
  const FakeBackend model;
  for (std::int32_t first = 0; first < 64; ++first) {
    EngineRequest request;
    request.context_ids = {first};
    request.max_new_tokens = 60;
    const EngineResponse response = AnswerAlone(request);
    const auto& ids = response.generated_ids;
    const auto is_eos = [](std::int32_t id) { return id == 5 || id == 9; };
    EXPECT_EQ(std::ranges::count_if(ids, is_eos), response.finish == "eos" ? 1 : 0);
    EXPECT_EQ(is_eos(ids.back()), response.finish == "eos");
    EXPECT_EQ(response.generated_tokens, static_cast<std::int64_t>(ids.size()));
  }
}

TEST(EngineFake, LogitsThatAreNotFiniteAreNoAnswer) {
  Config config;
  config.fault = FakeBackend::Fault::kNotFinite;
  std::vector<EngineRequest> requests(6);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].tag = static_cast<std::int64_t>(i);
    requests[i].context_ids = {1, i < 3 ? 63 : 62, 2};
    requests[i].max_new_tokens = 5;
    requests[i].ignore_eos = true;
  }
  for (const std::size_t i : {1U, 4U}) requests[i].continuation_ids = {{5, 6}, {7}};
  for (const std::size_t i : {2U, 5U}) {
    requests[i].temperature = 1;
    requests[i].sampling_key = "key";
  }
  const auto responses = Answer(config, requests);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(responses[i].status.code(), StatusCode::kCorrupt) << i;
    EXPECT_TRUE(responses[i].loglikelihoods.empty());
    EXPECT_TRUE(responses[i].generated_ids.empty());
    EXPECT_EQ(Digest({responses[i + 3]}), Digest({AnswerAlone(requests[i + 3])}));
  }
}

/// A backend on which every Forward takes a second.
class SlowBackend final : public Backend {
 public:
  SlowBackend(std::shared_ptr<FakeBackend> inner, FakeClock& clock)
      : inner_(std::move(inner)), clock_(clock) {}
  Result<SlotId> Allocate(std::int64_t tokens) override { return inner_->Allocate(tokens); }
  void Release(SlotId slot) override { inner_->Release(slot); }
  Result<SlotId> Fork(SlotId from, std::int64_t tokens) override {
    return inner_->Fork(from, tokens);
  }
  std::int64_t Length(SlotId slot) const override { return inner_->Length(slot); }
  Result<std::vector<RowResult>> Forward(std::span<const Segment> segments) override {
    clock_.Advance(std::chrono::seconds(1));
    return inner_->Forward(segments);
  }
  const ModelShape& shape() const override { return inner_->shape(); }
  const BackendOptions& options() const override { return inner_->options(); }
  MemoryPlan MemoryUsed() const override { return inner_->MemoryUsed(); }
  std::string Identity() const override { return inner_->Identity(); }

 private:
  std::shared_ptr<FakeBackend> inner_;
  FakeClock& clock_;
};

TEST(EngineFake, TimesAreThoseOfTheSteadyClock) {
  FakeClock clock;
  EngineParts parts;
  parts.backend = std::make_shared<SlowBackend>(std::make_shared<FakeBackend>(), clock);
  parts.plan_memory = FakeBackend::Plan;
  EngineOptions options;
  options.max_batch = 1;
  options.prefill_chunk = 10;
  std::vector<Phase> phases;
  options.on_forward = [&](Phase phase) { phases.push_back(phase); };
  auto engine = std::move(Engine::CreateWith(std::move(parts), options, clock)).value();
  std::vector<EngineRequest> requests(2);
  requests[0].context_ids = std::vector<std::int32_t>(30, 1);  // three chunks, then four tokens
  requests[0].max_new_tokens = 5;
  requests[1].tag = 1;
  requests[1].context_ids = {2, 3};
  requests[1].continuation_ids = {{4}};
  const auto responses = RunAll(*engine, requests);
  EXPECT_EQ(responses[0].queue_seconds, 0);
  EXPECT_EQ(responses[0].prefill_seconds, 3);
  EXPECT_EQ(responses[0].decode_seconds, 4);
  EXPECT_EQ(responses[0].inter_token_us, std::vector<std::int32_t>(4, 1'000'000));
  EXPECT_EQ(responses[1].queue_seconds, 7);  // costly ones first
  EXPECT_EQ(responses[1].prefill_seconds, 1);
  EXPECT_EQ(responses[1].decode_seconds, 0);
  EXPECT_TRUE(responses[1].inter_token_us.empty());
  EXPECT_EQ(phases,
            (std::vector<Phase>{Phase::kPrefill, Phase::kPrefill, Phase::kPrefill, Phase::kDecode,
                                Phase::kDecode, Phase::kDecode, Phase::kDecode, Phase::kPrefill}));
  EXPECT_EQ(engine->stats().phase_seconds, (std::array<double, kPhases>{4, 4, 0}));
}

/// A token's wait while others' prompts are computed in the same Forward counts as mixed.
TEST(EngineFake, MixedForwardsAreTheirOwnPhase) {
  FakeClock clock;
  EngineParts parts;
  parts.backend = std::make_shared<SlowBackend>(std::make_shared<FakeBackend>(), clock);
  parts.plan_memory = FakeBackend::Plan;
  EngineOptions options;
  options.max_batch = 2;
  options.prefill_chunk = 10;
  auto engine = std::move(Engine::CreateWith(std::move(parts), options, clock)).value();
  std::vector<EngineRequest> requests(2);
  requests[0].context_ids = std::vector<std::int32_t>(10, 1);
  requests[0].max_new_tokens = 30;
  requests[1].tag = 1;
  requests[1].context_ids = std::vector<std::int32_t>(30, 2);
  requests[1].max_new_tokens = 2;
  const auto responses = RunAll(*engine, requests);
  EXPECT_EQ(responses[0].inter_token_us.size(), 29U);
  EXPECT_EQ(responses[1].inter_token_us.size(), 1U);
  const auto seconds = engine->stats().phase_seconds;
  EXPECT_GT(seconds[static_cast<std::size_t>(Phase::kMixed)], 0);
  EXPECT_EQ(seconds[0] + seconds[1] + seconds[2], engine->stats().forward_seconds);
}

TEST(EngineFake, EmptyRunAndIdentity) {
  FakeEngine made = Make({});
  EXPECT_TRUE(RunAll(*made.engine, {}).empty());
  EXPECT_EQ(made.engine->Identity(), "fake; bf16");
}

TEST(EngineFake, OptionsAreChecked) {
  const auto create = [](const std::function<void(EngineOptions&)>& change) {
    EngineParts parts;
    parts.backend = std::make_shared<FakeBackend>();
    parts.plan_memory = FakeBackend::Plan;
    EngineOptions options;
    change(options);
    return Engine::CreateWith(std::move(parts), options).status().code();
  };
  EXPECT_EQ(create([](EngineOptions&) {}), StatusCode::kOk);
  EXPECT_EQ(create([](EngineOptions& o) { o.max_length = 5000; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(create([](EngineOptions& o) { o.max_length = 1; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(create([](EngineOptions& o) { o.max_batch = 0; }), StatusCode::kInvalidArgument);
  EXPECT_EQ(create([](EngineOptions& o) { o.prefill_chunk = 0; }), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace h1bench

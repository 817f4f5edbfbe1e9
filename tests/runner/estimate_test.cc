// What is said before a run: the counting backend shows what the engine then does, rates say how
// long.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <utility>

#include "runner/checkpoint/synthesize.h"
#include "runner/estimate/counting_backend.h"
#include "runner/estimate/forward_rates.h"
#include "runner/estimate/measure_rates.h"
#include "runner/estimate/rate_probes.h"
#include "runner/estimate/rehearsal.h"
#include "tests/runner/checkpoint_fixture.h"
#include "tests/runner/engine_fixture.h"

namespace h1bench {
namespace {

using testing::MixedRequests;
using testing::RunAll;

/// 10 ms and 1 ms a token; steps 20 ms and 1 ms a sequence; round numbers for the rest.
ForwardRates Round() {
  ForwardRates rates;
  rates.prompt = {{1, 0.011}, {11, 0.021}, {101, 0.111}};
  rates.generated = {{1, 0.021}, {41, 0.061}};
  rates.prompt_segment = 0.5;
  rates.asked_row = 0.25;
  rates.prompt_key = 1e-6;
  rates.generated_key = 1e-5;
  rates.pack_bytes_per_second = 1e9;
  return rates;
}

TEST(ForwardRates, LinesBetweenPointsAndBeyond) {
  const MeasuredPoints points = {{4, 2.0}, {8, 3.0}, {16, 7.0}};
  EXPECT_EQ(Interpolate(points, 1), 2.0);  // limited by what it reads
  EXPECT_EQ(Interpolate(points, 6), 2.5);
  EXPECT_EQ(Interpolate(points, 12), 5.0);
  EXPECT_EQ(Interpolate(points, 32), 15.0);
  EXPECT_EQ(Interpolate({{4, 3.0}, {8, 4.0}}, 16), 8.0);  // no quicker than the last one's rate
  EXPECT_EQ(Interpolate(points, 0), 0.0);
  EXPECT_EQ(Interpolate({}, 5), 0.0);
}

TEST(ForwardRates, EveryKindOfWorkCosts) {
  ForwardWork work;
  work.prompt_tokens = 50;
  work.prompt_segments = 1;
  work.asked_rows = 1;
  EXPECT_NEAR(Seconds(Round(), work).total(), 0.060, 1e-12);
  work.prompt_segments = 3;
  EXPECT_NEAR(Seconds(Round(), work).total(), 1.060, 1e-12);
  work.asked_rows = 5;
  EXPECT_NEAR(Seconds(Round(), work).total(), 2.060, 1e-12);
  work.prompt_keys = 1000;
  EXPECT_NEAR(Seconds(Round(), work).total(), 2.061, 1e-12);
  EXPECT_EQ(Seconds(Round(), work).generated, 0);

  ForwardWork steps;
  steps.generated = 21;
  EXPECT_NEAR(Seconds(Round(), steps).total(), 0.041, 1e-12);
  steps.generated_keys = 100;
  EXPECT_NEAR(Seconds(Round(), steps).generated, 0.042, 1e-12);

  // Together: the products of all rows once, and what steps cost beyond that (here 10 ms).
  ForwardWork both;
  both.prompt_tokens = 30;
  both.prompt_segments = both.asked_rows = 1;
  both.generated = 20;
  EXPECT_NEAR(Seconds(Round(), both).total(), 0.060 + 0.010, 1e-12);
  EXPECT_NEAR(Seconds(Round(), both).prompt, 0.036, 1e-12);
}

/// What two leases share of a Forward each pays its part of, and together all of it.
TEST(ForwardRates, PartsOfAForwardSumUp) {
  ForwardWork a, b, whole;
  a.prompt_tokens = 30, a.prompt_segments = 3, a.asked_rows = 4, a.prompt_keys = 4000;
  b.prompt_tokens = 10, b.prompt_segments = 1, b.generated = 6, b.generated_keys = 900;
  whole.prompt_tokens = 40, whole.prompt_segments = 4, whole.asked_rows = 4;
  whole.prompt_keys = 4000, whole.generated = 6, whole.generated_keys = 900;
  const ForwardSeconds all = Seconds(Round(), whole);
  const ForwardSeconds of_a = Seconds(Round(), whole, a), of_b = Seconds(Round(), whole, b);
  EXPECT_NEAR(of_a.prompt + of_b.prompt, all.prompt, 1e-12);
  EXPECT_NEAR(of_a.generated + of_b.generated, all.generated, 1e-12);
  EXPECT_EQ(of_a.generated, 0);
  EXPECT_GT(of_a.prompt, 2.5 * of_b.prompt);
  EXPECT_GT(of_b.prompt, 0);
  EXPECT_EQ(Seconds(Round(), whole, {}).total(), 0);
}

TEST(ForwardRates, ReadBackFromJsonAndRefused) {
  const Json json = ToJson(Round());
  const Result<ForwardRates> back = ForwardRatesFromJson(json);
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(WriteJson(ToJson(*back)), WriteJson(json));
  Json wrong = json;
  wrong.Set("prompt", Json::Array{Json(Json::Array{Json(8), Json(1.0)}),
                                  Json(Json::Array{Json(8), Json(2.0)})});
  EXPECT_FALSE(ForwardRatesFromJson(wrong).ok());  // sizes that do not grow
  wrong = json;
  wrong.Set("asked_row", -1.0);
  EXPECT_FALSE(ForwardRatesFromJson(wrong).ok());
  EXPECT_FALSE(ForwardRatesFromJson(Json(Json::Object{})).ok());
}

struct Counted {
  EngineStats stats;
  std::int64_t prompt_tokens = 0, reused = 0;
  MemoryPlan planned;
};

/// The engine on `backend` answers everything; generations run to their limit.
Counted Count(std::shared_ptr<Backend> backend, const EngineOptions& options,
              std::vector<EngineRequest> requests) {
  EngineParts parts;
  parts.backend = std::move(backend);
  parts.eos_ids = {CountingBackend::kEnd};
  parts.bos_id = 1;
  parts.plan_memory = FakeBackend::Plan;
  auto engine = Engine::CreateWith(std::move(parts), options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  for (EngineRequest& request : requests) {
    request.ignore_eos = true;
    request.temperature = 0;
  }
  Counted out;
  for (const EngineResponse& response : RunAll(**engine, requests)) {
    out.prompt_tokens += response.prompt_tokens;
    out.reused += response.reused_tokens;
  }
  out.stats = (*engine)->stats();
  out.planned = (*engine)->planned_memory();
  return out;
}

/// What the rehearsal counts is what an engine that computes does: Forwards, tokens, slots, memory.
TEST(Rehearsal, TheSameForwardsAsOnABackendThatComputes) {
  for (const bool reuse : {true, false}) {
    for (const std::int64_t batch : {1, 5, 64}) {
      EngineOptions options;
      options.max_batch = batch;
      options.prefix_reuse = reuse;
      options.memory_bytes = FakeBackend::kFixedBytes + 60'000;
      const auto requests = MixedRequests(80, 64, 7);
      BackendOptions backend;
      backend.max_batch_tokens = 256;
      auto fake = std::make_shared<FakeBackend>(backend);
      auto counting = std::make_shared<CountingBackend>(fake->shape(), backend, Round(), 1);
      const Counted real = Count(fake, options, requests);
      const Counted counted = Count(counting, options, requests);
      EXPECT_EQ(counted.stats.forward_calls, real.stats.forward_calls);
      EXPECT_EQ(counted.stats.fed_tokens, real.stats.fed_tokens);
      EXPECT_EQ(counted.stats.peak_slots, real.stats.peak_slots);
      EXPECT_EQ(counted.prompt_tokens, real.prompt_tokens);
      EXPECT_EQ(counted.reused, real.reused);
      EXPECT_EQ(counted.planned.total(), real.planned.total());
      const CountingBackend::Account& account = counting->accounts().front();
      EXPECT_EQ(account.prompt_tokens + account.steps, real.stats.fed_tokens);
      EXPECT_GT(account.seconds.prompt, 0);
      EXPECT_GT(account.seconds.generated, 0);
      EXPECT_EQ(real.reused > 0, reuse);
    }
  }
}

std::vector<EngineRequest> Generations(int count, std::int64_t limit) {
  std::vector<EngineRequest> requests;
  for (int i = 0; i < count; ++i) {
    EngineRequest& request = requests.emplace_back();
    request.tag = i;
    request.context = "Question " + std::to_string(i) + ": how much is it?\nAnswer:";
    request.max_new_tokens = limit;
    request.stops = {"\n"};
    request.temperature = 1;
    request.sampling_key = "k";
  }
  return requests;
}

/// One lease.
Rehearsed RunOne(Rehearsal& rehearsal, std::vector<EngineRequest> requests, double expected) {
  LeaseToCome lease{std::move(requests), expected};
  const auto run = rehearsal.Run([&](bool) { return std::exchange(lease, {}); }, 1);
  EXPECT_TRUE(run.ok()) << run.status().message();
  return run.ok() && !run->empty() ? run->front() : Rehearsed();
}

/// Answers are as long as expected, also a fraction on average, and never longer than the limit.
TEST(Rehearsal, AnswersHaveTheExpectedLength) {
  const auto folder = testing::SourceDir() / "demo/models/toy";
  const Checkpoint model = Checkpoint::Open(folder).value();
  EngineOptions options;
  options.max_length = 256;
  options.memory_bytes = std::int64_t{1} << 30;
  Rehearsal rehearsal =
      Rehearsal::Create(model.config(), testing::ToyTokenizer(), options, Round()).value();
  const auto tokens = [&](double expected, std::int64_t limit) {
    const Rehearsed run = RunOne(rehearsal, Generations(10, limit), expected);
    EXPECT_TRUE(run.refused.ok());
    return run.generated_tokens;
  };
  EXPECT_EQ(tokens(7, 40), 70);
  EXPECT_EQ(tokens(7.5, 40), 75);
  EXPECT_EQ(tokens(40, 40), 400);
  EXPECT_EQ(tokens(90, 40), 400);
  EXPECT_EQ(tokens(2, 40), 20);
  // Ten sequences of 256 positions at most, by the backend's own arithmetic.
  const MemoryPlan most = PlanMemory(model.config().shape, options.backend, 10, 256);
  EXPECT_EQ(rehearsal.memory().state, most.state);
  EXPECT_EQ(rehearsal.memory().weights, most.weights);
  EXPECT_GT(rehearsal.memory().kv, 0);
  EXPECT_LE(rehearsal.memory().kv, most.kv);
}

/// A worker probes what it has loaded: six sequences and their shared prefix, also before a run
/// that holds one at a time. (Their memory stays with the backend: it is in the worker's peak.)
TEST(Rehearsal, TheProbesOfALoadedModelCount) {
  const Checkpoint model = Checkpoint::Open(testing::SourceDir() / "demo/models/toy").value();
  EngineOptions options;
  options.max_length = 256;
  options.max_batch = 1;
  options.memory_bytes = std::int64_t{1} << 30;
  Rehearsal rehearsal =
      Rehearsal::Create(model.config(), testing::ToyTokenizer(), options, Round()).value();
  EXPECT_GT(rehearsal.probe_seconds(), 0);
  EXPECT_EQ(RunOne(rehearsal, Generations(1, 8), 8).generated_tokens, 8);
  const MemoryPlan one = PlanMemory(model.config().shape, options.backend, 1, 16);
  EXPECT_EQ(rehearsal.memory().state, 7 * one.state);
  EXPECT_EQ(rehearsal.memory().workspace, one.workspace);
}

/// A prompt that cannot be held is told before the run.
TEST(Rehearsal, WhatDoesNotFitIsRefused) {
  const Checkpoint model = Checkpoint::Open(testing::SourceDir() / "demo/models/toy").value();
  EngineOptions options;
  options.max_length = 1024;
  options.memory_bytes = PlanMemory(model.config().shape, options.backend, 1, 64).total();
  Rehearsal rehearsal =
      Rehearsal::Create(model.config(), testing::ToyTokenizer(), options, {}).value();
  EXPECT_TRUE(RunOne(rehearsal, Generations(2, 30), 30).refused.ok());
  const Rehearsed run = RunOne(rehearsal, Generations(2, 900), 30);
  EXPECT_EQ(run.refused.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(run.seconds.total(), 0);  // without rates no time
}

/// Leases of three tasks, most costly first, and whether those behind the first may come ahead.
struct ThreeLeases {
  std::vector<std::vector<EngineRequest>> requests{Generations(12, 60), Generations(8, 30),
                                                   Generations(6, 10)};
  bool ahead = true;
  std::size_t next = 0;

  /// Null: none now.
  const std::vector<EngineRequest>* Next(bool idle) {
    if (next == requests.size() || (next > 0 && !idle && !ahead)) return nullptr;
    return &requests[next++];
  }
};

struct Held {
  MemoryPlan planned, used;
};

/// By the engine that computes; generations run to their limit.
Held HeldByTheEngine(const std::filesystem::path& model, const EngineOptions& options,
                     ThreeLeases leases) {
  auto checkpoint = std::make_shared<const Checkpoint>(Checkpoint::Open(model).value());
  const auto engine = Engine::Create(checkpoint, testing::ToyTokenizer(), options).value();
  EXPECT_TRUE(engine->Probe().ok());
  const Status served = engine->Serve([&](bool idle) -> EngineWork {
    const std::vector<EngineRequest>* const lease = leases.Next(idle);
    if (lease == nullptr) return {};
    std::vector<EngineRequest> requests = *lease;
    for (EngineRequest& request : requests) request.ignore_eos = true, request.stops.clear();
    return {engine->Prepare(std::move(requests), 1), [](const EngineResponse&) { return true; }};
  });
  EXPECT_TRUE(served.ok()) << served.message();
  return {engine->planned_memory(), engine->used_memory()};
}

/// Leases of several tasks are under way together and hold their memory together: the plan is what
/// the engine then plans, and holds.
TEST(Rehearsal, WhatLeasesHoldTogetherIsWhatTheEngineHolds) {
  const auto folder = testing::SourceDir() / "demo/models/toy";
  const Checkpoint model = Checkpoint::Open(folder).value();
  EngineOptions options;
  options.max_length = 256;
  options.memory_bytes = std::int64_t{1} << 30;
  const auto planned = [&](ThreeLeases leases, std::size_t most) {
    Rehearsal rehearsal =
        Rehearsal::Create(model.config(), testing::ToyTokenizer(), options, Round()).value();
    const auto next = [&](bool idle) -> LeaseToCome {
      const std::vector<EngineRequest>* const lease = leases.Next(idle);
      return lease == nullptr ? LeaseToCome() : LeaseToCome{*lease, 1000};
    };
    const auto run = rehearsal.Run(next, most);
    EXPECT_TRUE(run.ok()) << run.status().message();
    EXPECT_EQ(run->size(), 3U);
    for (std::size_t i = 0; i < run->size(); ++i)  // everybody's own
      EXPECT_EQ((*run)[i].generated_tokens, std::vector<std::int64_t>({720, 240, 60})[i]);
    return rehearsal.memory();
  };
  const std::int64_t state = PlanMemory(model.config().shape, options.backend, 1, 2).state;
  for (const bool ahead : {true, false}) {
    ThreeLeases leases;
    leases.ahead = ahead;
    const MemoryPlan plan = planned(leases, 8);
    const Held held = HeldByTheEngine(folder, options, leases);
    EXPECT_EQ(plan.state, (ahead ? 26 : 12) * state);
    EXPECT_EQ(plan.kv + plan.state, held.planned.kv + held.planned.state);
    EXPECT_EQ(held.used.state, plan.state);
    EXPECT_LE(held.used.kv, plan.kv);  // by the page as they grow; planned whole
    EXPECT_GT(held.used.kv, plan.kv / 3);
    // Planted: a plan of leases one after the other, and of two at a time.
    EXPECT_EQ(planned(leases, 1).state, 12 * state);
    EXPECT_EQ(planned(leases, 2).state, (ahead ? 20 : 12) * state);
  }
}

/// Lengths and seconds of leases that share Forwards are their own.
TEST(Rehearsal, EveryLeasePaysForItself) {
  const Checkpoint model = Checkpoint::Open(testing::SourceDir() / "demo/models/toy").value();
  EngineOptions options;
  options.max_length = 256;
  options.memory_bytes = std::int64_t{1} << 30;
  ForwardRates rates = Round();
  rates.prompt_segment = rates.asked_row = 0;  // else what rides along costs more than alone
  Rehearsal rehearsal =
      Rehearsal::Create(model.config(), testing::ToyTokenizer(), options, rates).value();
  std::vector<LeaseToCome> leases;
  for (const auto& [count, expected] : {std::pair{10, 20.0}, {5, 4.0}, {2, 50.0}})
    leases.push_back({Generations(count, 60), expected});
  leases.push_back({Generations(3, 60), 8});
  for (EngineRequest& request : leases.back().requests) request.continuations = {" one", " two"};
  std::size_t at = 0;
  const auto next = [&](bool) { return at < leases.size() ? leases[at++] : LeaseToCome(); };
  const auto run = rehearsal.Run(next, 8);
  ASSERT_TRUE(run.ok()) << run.status().message();
  ASSERT_EQ(run->size(), 4U);
  const std::vector<std::int64_t> generated = {200, 20, 100, 0};
  double sum = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const Rehearsed& one = (*run)[i];
    EXPECT_EQ(one.generated_tokens, generated[i]);
    EXPECT_EQ(one.seconds.generated > 0, i < 3);
    EXPECT_GT(one.seconds.prompt, 0);
    EXPECT_GE(one.computed_tokens, 3);
    sum += one.seconds.total();
  }
  EXPECT_GT((*run)[0].seconds.generated, 5 * (*run)[1].seconds.generated);
  // The same leases one after the other: the same tokens, more Forwards, more time.
  Rehearsal apart =
      Rehearsal::Create(model.config(), testing::ToyTokenizer(), options, rates).value();
  double alone = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const Rehearsed one = RunOne(apart, leases[i].requests, leases[i].expected_tokens);
    EXPECT_EQ(one.computed_tokens, (*run)[i].computed_tokens);
    alone += one.seconds.total();
  }
  EXPECT_LT(sum, alone);
}

/// A machine whose Forwards cost so much and not a nanosecond more or less.
struct LinearCosts {
  double keys, segments, head;  // of a key and token, of a segment, of a row and word

  /// All layers but the last compute every row whole; the last one's products after the mixer, and
  /// the head, are for asked rows.
  double Of(const ForwardWork& work, std::int64_t layers, std::int64_t vocab) const {
    const auto rows = static_cast<double>(work.prompt_tokens + work.generated);
    const auto asked = static_cast<double>(work.asked_rows + work.generated);
    const double mixer = (work.prompt_keys + work.generated_keys) * keys +
                         static_cast<double>(work.prompt_segments + work.generated - 1) * segments +
                         rows * 3e-5;
    const double rest = 2e-4 + rows * 4e-5, last = 2e-4 + asked * 4e-5;
    return static_cast<double>(layers) * mixer + static_cast<double>(layers - 1) * rest + last +
           static_cast<double>(vocab) * head * (10 + asked);
  }

  ProbeTimes Time(const std::vector<Probe>& probes, std::int64_t vocab) const {
    ProbeTimes times;
    times.more = 2;
    times.shallow_share = 0.25;
    times.deep_share = 0.0625;
    for (const Probe& probe : probes) {
      ForwardWork work;
      const std::int64_t rows = probe.segments * probe.tokens;
      (probe.steps ? work.generated : work.prompt_tokens) = rows;
      if (!probe.steps) work.prompt_segments = probe.segments, work.asked_rows = probe.asked;
      const auto each = static_cast<double>(probe.tokens);
      work.prompt_keys =
          static_cast<double>(rows) * (static_cast<double>(probe.context) + (each + 1) / 2);
      times.shallow.push_back(Of(work, 1, vocab / 4));
      times.deep.push_back(probe.shallow ? -1e9 : Of(work, 3, vocab / 16));  // must not be read
    }
    return times;
  }
};

/// From two small models' times to what any Forward of the whole one takes.
TEST(RateProbes, TwoSmallModelsTellAWhole) {
  constexpr std::int64_t kLayers = 36, kVocab = 262144;
  const LinearCosts costs{1e-8, 2e-5, 1e-9};
  for (const bool cpu : {true, false}) {
    const RateProbes probes(cpu, 8192, 64);
    std::vector<Probe> all = probes.all();
    ProbeTimes times = costs.Time(all, kVocab);
    ForwardWork prompts;
    prompts.prompt_tokens = 150, prompts.prompt_segments = 3, prompts.asked_rows = 25;
    prompts.prompt_keys = 3e4;
    ForwardWork steps;
    steps.generated = 20, steps.generated_keys = 20 * 700;
    const auto error = [&](const ForwardWork& work) {
      const double wanted = costs.Of(work, kLayers, kVocab);
      return std::abs(Seconds(probes.Rates(times, kLayers), work).total() / wanted - 1);
    };
    EXPECT_LT(error(prompts), 2e-3) << cpu;
    EXPECT_LT(error(steps), 2e-3) << cpu;
    times.deep_share = 0.25;  // planted: the smallest head taken for a larger one
    EXPECT_GT(error(steps), 0.005) << cpu;
    EXPECT_GT(error(prompts), 0.002) << cpu;
    times.deep_share = 0.0625, times.shallow_share = 1;  // planted: a quarter taken for a whole
    EXPECT_GT(error(steps), 0.005) << cpu;
    EXPECT_GT(error(prompts), 0.002) << cpu;
  }
}

/// Rates that are kept must be readable again, whatever the largest Forward.
TEST(RateProbes, SizesGrow) {
  for (const bool cpu : {true, false}) {
    for (const std::int64_t most : {64, 100, 192, 256, 2048, 8192}) {
      for (const std::int64_t batch : {1, 2, 8, 64, 256}) {
        const RateProbes probes(cpu, most, batch);
        const ProbeTimes times = LinearCosts{1e-8, 2e-5, 1e-9}.Time(probes.all(), 4096);
        const Json json = ToJson(probes.Rates(times, 4));
        EXPECT_TRUE(ForwardRatesFromJson(json).ok()) << WriteJson(json);
      }
    }
  }
}

/// The forwards of a few layers say what a model of many takes. The bound is wide, for machines
/// that do other things as well; without the step from few layers to all it would be missed by far.
TEST(SlowMeasureRates, PredictsADeeperModel) {
  ModelShape shape = testing::TinyShape();
  shape.vocab = 4096, shape.hidden = 256, shape.intermediate = 512, shape.layers = 24;
  shape.heads = 4, shape.kv_heads = 2, shape.head_dim = 64;
  shape.ssm_inner = 384, shape.ssm_heads = 6, shape.ssm_head_dim = 64, shape.ssm_state = 64;
  shape.max_positions = 4096;
  BackendOptions options;
  options.threads = 1;
  const auto rates = MeasureForwardRates(shape, {options, 1, 8});
  ASSERT_TRUE(rates.ok()) << rates.status().message();
  EXPECT_GT(rates->pack_bytes_per_second, 0);
  EXPECT_GT(rates->generated_key, 0);  // at least what reading them takes
  const SyntheticModel model = SynthesizeInMemory(shape, 3).value();
  const auto backend = CreateBackend(shape, model.weights, options).value();
  const std::vector<std::int32_t> ids(300, 7);
  const SlotId slot = backend->Allocate(1000).value();
  const Segment segment{slot, ids, {{299, {}, nullptr}}, false};
  std::vector<double> seconds;
  for (int i = 0; i < 4; ++i) {
    const auto start = std::chrono::steady_clock::now();
    ASSERT_TRUE(backend->Forward(std::span(&segment, 1)).ok());
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    seconds.push_back(took.count());
  }
  ForwardWork work;
  work.prompt_tokens = 300;
  work.prompt_segments = work.asked_rows = 1;
  work.prompt_keys = 300.0 * 301 / 2;
  const double said = Seconds(*rates, work).total(), took = *std::ranges::min_element(seconds);
  EXPECT_GT(said, took / 3);
  EXPECT_LT(said, took * 3);
}

}  // namespace
}  // namespace h1bench

// The engine on the CPU backend against what transformers answered (goldens/models,
// goldens/lm_eval).
#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "base/json.h"
#include "tests/device.h"
#include "tests/runner/engine_fixture.h"

namespace h1bench {
namespace {

using testing::Digest;
using testing::RunAll;

std::unique_ptr<Engine> Open(const std::filesystem::path& folder, const EngineOptions& options) {
  auto checkpoint = Checkpoint::Open(folder);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  auto engine = Engine::Create(std::make_shared<const Checkpoint>(std::move(checkpoint).value()),
                               nullptr, options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return std::move(engine).value();
}

EngineOptions Fp32() {
  EngineOptions options;
  options.backend.device = testing::TestDevice();
  options.backend.precision = Precision::kFp32;
  options.memory_bytes = 1LL << 30;
  return options;
}

std::vector<std::int32_t> Ids(const Json& list) {
  std::vector<std::int32_t> ids;
  for (const Json& id : list.as_array()) ids.push_back(static_cast<std::int32_t>(id.as_int()));
  return ids;
}

/// golden.json of a model as requests: the greedy continuations, then the scored ones.
struct Golden {
  std::vector<EngineRequest> requests;
  std::vector<std::vector<std::int32_t>> greedy;
  std::vector<double> sums;
  std::vector<bool> is_greedy;
};

Golden ReadGolden(const std::filesystem::path& folder) {
  const Json json = ParseJson(ReadFile(folder / "golden.json").value()).value();
  const auto a = Ids(*json.Find("sequences")->Find("a")->Find("ids"));
  const auto prefix = [&](const Json& length) {
    return std::vector<std::int32_t>(a.begin(), a.begin() + length.as_int());
  };
  Golden golden;
  for (const Json& row : json.Find("greedy")->as_array()) {
    EngineRequest request;
    request.context_ids = prefix(*row.Find("prompt_length"));
    golden.greedy.push_back(Ids(*row.Find("ids")));
    request.max_new_tokens = static_cast<std::int64_t>(golden.greedy.back().size());
    request.ignore_eos = true;
    golden.requests.push_back(std::move(request));
  }
  for (const Json& row : json.Find("loglikelihood")->as_array()) {
    EngineRequest request;
    request.context_ids = prefix(*row.Find("context_length"));
    request.continuation_ids = {Ids(*row.Find("continuation"))};
    golden.sums.push_back(row.Find("sum")->as_double());
    golden.is_greedy.push_back(row.Find("is_greedy")->as_bool());
    golden.requests.push_back(std::move(request));
  }
  for (std::size_t i = 0; i < golden.requests.size(); ++i)
    golden.requests[i].tag = static_cast<std::int64_t>(i);
  return golden;
}

void ExpectGolden(const std::filesystem::path& folder) {
  SCOPED_TRACE(folder.filename().string());
  const Golden golden = ReadGolden(folder);
  const auto responses = RunAll(*Open(folder, Fp32()), golden.requests);
  ASSERT_FALSE(golden.greedy.empty());
  ASSERT_FALSE(golden.sums.empty());
  for (std::size_t i = 0; i < golden.greedy.size(); ++i)
    EXPECT_EQ(responses[i].generated_ids, golden.greedy[i]) << "prompt " << i;
  for (std::size_t i = 0; i < golden.sums.size(); ++i) {
    const EngineResponse& response = responses[golden.greedy.size() + i];
    EXPECT_NEAR(response.loglikelihoods.at(0), golden.sums[i], 1e-3);
    EXPECT_EQ(response.is_greedy.at(0), golden.is_greedy[i]);
  }
}

std::vector<std::filesystem::path> Models(const std::filesystem::path& parent) {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(parent))
    if (entry.is_directory()) folders.push_back(entry.path());
  std::ranges::sort(folders);
  return folders;
}

TEST(EngineGolden, GreedyAndLogLikelihood) {
  const auto folders = Models(testing::GoldensDir() / "models");
  ASSERT_GE(folders.size(), 3U);
  for (const auto& folder : folders) ExpectGolden(folder);
}

TEST(SlowEngineGolden, GreedyAndLogLikelihoodOfAllModels) {
  H1_NEED_SHARED();
  const auto folders = Models(testing::SharedDir() / "goldens/models");
  ASSERT_EQ(folders.size(), 14U);
  for (const auto& folder : folders) ExpectGolden(folder);
}

/// A wrong model shows: the goldens of one checkpoint do not hold for another.
TEST(EngineGolden, AnotherModelsAnswersDiffer) {
  const Golden golden = ReadGolden(testing::GoldensDir() / "models/plain");
  const auto responses =
      RunAll(*Open(testing::GoldensDir() / "models/norm-before-gate", Fp32()), golden.requests);
  EXPECT_NE(responses[0].generated_ids, golden.greedy[0]);
  EXPECT_GT(std::abs(responses[golden.greedy.size()].loglikelihoods.at(0) - golden.sums[0]), 1e-3);
}

struct Way {
  std::int64_t batch, chunk;
  int threads;
  bool reuse;
};

/// L1 and L2 on the real backend, over ways to run the same requests.
void ExpectSameBits(const std::string& model, Precision precision, int count,
                    std::size_t prefix_tokens, const std::vector<Way>& ways) {
  const auto folder = testing::GoldensDir() / "models" / model;
  EngineOptions options = Fp32();
  options.backend.precision = precision;
  const auto vocab = static_cast<std::int32_t>(Checkpoint::Open(folder)->config().shape.vocab);
  auto requests = testing::MixedRequests(count, vocab, 11, prefix_tokens);
  for (EngineRequest& request : requests) request.ignore_eos = true;
  std::string expected;
  std::mt19937 random(12);
  for (const Way& way : ways) {
    options.max_batch = way.batch;
    options.prefill_chunk = way.chunk;
    options.prefix_reuse = way.reuse;
    options.backend.threads = way.threads;
    const auto engine = Open(folder, options);
    const auto responses = RunAll(*engine, requests);
    for (const EngineResponse& response : responses) ASSERT_TRUE(response.status.ok());
    const std::string digest = Digest(responses);
    if (expected.empty()) expected = digest;
    EXPECT_EQ(digest, expected) << model << " " << PrecisionName(precision) << ": batch "
                                << way.batch << " chunk " << way.chunk << " threads " << way.threads
                                << " reuse " << way.reuse;
    std::ranges::shuffle(requests, random);
  }
  const auto engine = Open(folder, options);
  std::vector<EngineResponse> singles;
  for (const EngineRequest& request : requests) singles.push_back(RunAll(*engine, {request}).at(0));
  std::ranges::sort(singles, {}, &EngineResponse::tag);
  EXPECT_EQ(Digest(singles), expected) << model << ": alone";
  options.backend.precision = precision == Precision::kFp32 ? Precision::kBf16 : Precision::kFp32;
  EXPECT_NE(Digest(RunAll(*Open(folder, options), requests)), expected);  // the digest can differ
}

const std::vector<Way> kFewWays = {{64, 512, 2, true}, {1, 512, 1, false}, {8, 7, 2, true},
                                   {3, 64, 1, true},   {64, 1, 1, false},  {64, 512, 1, false}};

TEST(EngineGolden, SameBitsHoweverComputed) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16})
    ExpectSameBits("plain", precision, 16, 60, kFewWays);
}

TEST(SlowEngineGolden, SameBitsHoweverComputed) {
  std::vector<Way> ways;
  for (const std::int64_t batch : {1, 3, 8, 64})
    for (const std::int64_t chunk : {1, 7, 64, 512})
      for (const int threads : {1, 2})
        for (const bool reuse : {false, true}) ways.push_back({batch, chunk, threads, reuse});
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    ExpectSameBits("norm-before-gate", precision, 12, 80, ways);
    ExpectSameBits("long", precision, 10, 400, kFewWays);
  }
}

}  // namespace
}  // namespace h1bench

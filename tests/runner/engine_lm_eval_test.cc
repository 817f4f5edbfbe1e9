// Prompts of the tasks through the engine: what lm-eval got on the same checkpoint
// (goldens/lm_eval).
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "tasks/task.h"
#include "tests/device.h"
#include "tests/runner/engine_fixture.h"

namespace h1bench {
namespace {

using testing::RunAll;

struct Opened {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<Engine> engine;
};

Opened OpenModel(bool reuse = true) {
  const auto folder = testing::SharedDir() / "goldens/lm_eval/model";
  EngineOptions options;
  options.backend.device = testing::TestDevice();
  options.backend.precision = Precision::kFp32;
  options.max_length = 2048;
  options.memory_bytes = 2LL << 30;
  options.prefix_reuse = reuse;
  Opened opened;
  opened.tokenizer = std::make_shared<const Tokenizer>(Tokenizer::Open(folder).value());
  auto engine = Engine::Create(std::make_shared<const Checkpoint>(Checkpoint::Open(folder).value()),
                               opened.tokenizer, options);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  opened.engine = std::move(engine).value();
  return opened;
}

/// The task's first documents as engine requests, in its order.
std::vector<EngineRequest> Requests(const std::string& name, tasks::TaskOptions options) {
  options.data = testing::SharedDir() / "data";
  const auto task = tasks::LoadTask(name, options).value();
  std::vector<EngineRequest> requests;
  for (const tasks::Document& document : task->documents()) {
    const tasks::Request asked = task->BuildRequest(document);
    EngineRequest request;
    request.tag = static_cast<std::int64_t>(requests.size());
    request.context = asked.context;
    request.continuations = asked.continuations;
    request.stops = asked.stops;
    request.max_new_tokens = asked.max_new_tokens;
    requests.push_back(std::move(request));
  }
  return requests;
}

Json ReadSamples(const char* file) {
  return ParseJson(ReadFile(testing::SharedDir() / "goldens/lm_eval" / file).value()).value();
}

TEST(SlowEngineLmEval, MmluLogLikelihoods) {
  H1_NEED_SHARED();
  const Json samples = ReadSamples("mmlu_samples.json");
  const Opened opened = OpenModel();
  std::map<std::string, std::vector<const Json*>> subjects;
  for (const Json& sample : samples.as_array())
    subjects[sample.Find("task")->as_string().substr(5)].push_back(&sample);
  ASSERT_EQ(subjects.size(), 3U);
  std::int64_t truncated = 0;
  for (const auto& [subject, rows] : subjects) {
    tasks::TaskOptions options;
    options.subjects = {subject};
    options.shots = 5;
    options.limit = 20;
    const auto responses = RunAll(*opened.engine, Requests("mmlu", options));
    ASSERT_EQ(responses.size(), rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      truncated += responses[i].truncated_tokens > 0;
      for (std::size_t k = 0; k < 4; ++k) {
        EXPECT_NEAR(responses[i].loglikelihoods.at(k),
                    rows[i]->Find("loglikelihoods")->as_array()[k].as_double(), 1e-3)
            << subject << " " << i;
        EXPECT_EQ(responses[i].is_greedy.at(k),
                  rows[i]->Find("is_greedy")->as_array()[k].as_bool());
      }
    }
  }
  EXPECT_GT(truncated, 0);  // the golden run exercises left truncation
}

TEST(SlowEngineLmEval, Generations) {
  H1_NEED_SHARED();
  const Json samples = ReadSamples("generation_samples.json");
  const Opened opened = OpenModel();
  std::map<std::string, std::map<std::int64_t, std::string>> expected;
  for (const Json& sample : samples.as_array())
    expected[sample.Find("task")->as_string()][sample.Find("doc")->as_int()] =
        sample.Find("response")->as_string();
  ASSERT_EQ(expected.size(), 3U);
  for (const auto& [task, rows] : expected) {
    tasks::TaskOptions options;
    options.limit = static_cast<std::int64_t>(rows.size());
    options.max_new_tokens = 48;
    const auto responses = RunAll(*opened.engine, Requests(task, options));
    ASSERT_EQ(responses.size(), rows.size());
    for (const auto& [index, text] : rows)
      EXPECT_EQ(responses[static_cast<std::size_t>(index)].text, text) << task << " " << index;
  }
}

/// L2 from text: questions of a subject, with and without the shared prefix.
TEST(SlowEngineLmEval, ReuseSavesTokensAndKeepsBits) {
  H1_NEED_SHARED();
  tasks::TaskOptions options;
  options.subjects = {"anatomy", "virology"};
  options.shots = 5;
  options.limit = 12;
  const auto requests = Requests("mmlu", options);
  const Opened with = OpenModel(true), without = OpenModel(false);
  EXPECT_EQ(testing::Digest(RunAll(*with.engine, requests)),
            testing::Digest(RunAll(*without.engine, requests)));
  EXPECT_LT(with.engine->stats().fed_tokens * 3, without.engine->stats().fed_tokens);
}

}  // namespace
}  // namespace h1bench

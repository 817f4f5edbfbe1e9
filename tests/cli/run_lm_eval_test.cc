#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <sstream>

#include "base/file.h"
#include "base/json.h"
#include "tests/cli/run_process.h"
#include "tests/device.h"
#include "tests/paths.h"

/// The golden lm-eval run, repeated by `h1bench run`: same log-likelihoods, accuracies, generations
/// and filtered answers.
namespace h1bench {
namespace {

using testing::Program;

std::map<std::pair<std::string, std::int64_t>, Json> ReadSamples(const std::string& text) {
  std::map<std::pair<std::string, std::int64_t>, Json> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const Result<Json> row = ParseJson(line);
    EXPECT_TRUE(row.ok()) << line;
    if (!row.ok()) continue;
    const Json* subset = row->Find("subset");
    const std::string task =
        subset->is_null() ? row->Find("task")->as_string() : "mmlu_" + subset->as_string();
    rows[{task, row->Find("index")->as_int()}] = *row;
  }
  return rows;
}

double Metric(const Json& sample, const std::string& name) {
  const Json* value = sample.Find("scores")->Find(name);
  return value == nullptr ? std::nan("") : value->as_double();
}

/// Documents of each kind that are asked.
struct Limits {
  std::int64_t mmlu, generation;  // of each subject; of each task
};

void ExpectTheGoldenRun(const Limits& limits) {
  const bool code = std::filesystem::exists("/usr/bin/bwrap");  // humaneval needs bubblewrap
  const std::filesystem::path golden = testing::SharedDir() / "goldens/lm_eval";
  std::string pattern =
      (std::filesystem::temp_directory_path() / "h1bench-lm-eval-XXXXXX").string();
  const std::filesystem::path folder = mkdtemp(pattern.data());
  std::ofstream(folder / "suite.yaml")
      << "name: lm-eval\nmodels: [{name: golden, path: " << (golden / "model").string()
      << ", precisions: [fp32], max_length: 2048}]\n"
      << "tasks:\n  - {task: mmlu, subjects: [abstract_algebra, anatomy, "
         "high_school_european_history], limit: "
      << limits.mmlu << ", shots: 5}\n";
  std::vector<std::string> generating = {"gsm8k", "gsm8k_cot"};
  if (code) generating.push_back("humaneval");
  for (const std::string& task : generating) {
    std::ofstream(folder / "suite.yaml", std::ios::app)
        << "  - {task: " << task << ", limit: " << limits.generation << ", max_new_tokens: 48}\n";
  }
  const std::string db = (folder / "run.db").string();
  Program run(
      folder, "run",
      {"run", (folder / "suite.yaml").string(), "--data", (testing::SharedDir() / "data").string(),
       "--db", db, "--progress", "none", "--engine", DeviceName(testing::TestDevice())});
  ASSERT_EQ(run.Wait(), 0) << run.err();
  Program samples(folder, "samples", {"samples", "--db", db});
  ASSERT_EQ(samples.Wait(), 0) << samples.err();
  const auto rows = ReadSamples(samples.out());
  ASSERT_EQ(std::ssize(rows), 3 * limits.mmlu + limits.generation * std::ssize(generating));
  // What computed it goes with every response: device, multiprocessors, driver, runtime.
  const std::string identity = *DeviceIdentity(testing::TestDevice());
  for (const auto& [key, row] : rows)
    EXPECT_NE(row.Find("timing")->Find("engine")->as_string().find(identity), std::string::npos);

  const auto mmlu = ParseJson(*ReadFile(golden / "mmlu_samples.json"));
  ASSERT_TRUE(mmlu.ok());
  ASSERT_EQ(mmlu->as_array().size(), 60U);
  for (const Json& expected : mmlu->as_array()) {
    const auto key =
        std::make_pair(expected.Find("task")->as_string(), expected.Find("doc")->as_int());
    if (key.second >= limits.mmlu) continue;
    SCOPED_TRACE(key.first + " " + std::to_string(key.second));
    const Json& found = rows.at(key);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_NEAR(found.Find("loglikelihoods")->as_array()[i].as_double(),
                  expected.Find("loglikelihoods")->as_array()[i].as_double(), 1e-3);
      EXPECT_EQ(found.Find("is_greedy")->as_array()[i].as_bool(),
                expected.Find("is_greedy")->as_array()[i].as_bool());
    }
    EXPECT_EQ(Metric(found, "acc"), expected.Find("acc")->as_double());
  }

  const auto generation = ParseJson(*ReadFile(golden / "generation_samples.json"));
  ASSERT_TRUE(generation.ok());
  for (const Json& expected : generation->as_array()) {
    const std::string filter = expected.Find("filter")->as_string();
    const auto key =
        std::make_pair(expected.Find("task")->as_string(), expected.Find("doc")->as_int());
    SCOPED_TRACE(key.first + " " + std::to_string(key.second) + " " + filter);
    if (key.second >= limits.generation) continue;
    if (!code && expected.Find("task")->as_string().starts_with("humaneval")) continue;
    const Json& found = rows.at(key);
    EXPECT_EQ(found.Find("response")->as_string(), expected.Find("response")->as_string());
    const Json& filtered = expected.Find("filtered")->as_array()[0];
    if (filtered.is_array()) {  // humaneval: the whole program; ours keeps what the model added
      const std::string program = filtered.as_array()[0].as_string();
      const std::string added = found.Find("extracted")->as_string();
      ASSERT_GE(program.size(), added.size());
      EXPECT_EQ(program.substr(program.size() - added.size()), added);
      continue;
    }
    const Json* extracted = found.Find("extracted");
    EXPECT_EQ(extracted->Find(filter)->as_string(), filtered.as_string());
    EXPECT_EQ(Metric(found, "exact_match," + filter), expected.Find("exact_match")->as_double());
  }
  std::filesystem::remove_all(folder);
}

TEST(SlowLmEvalTest, TheGoldenRunIsReproduced) {
  H1_NEED_SHARED();
  ExpectTheGoldenRun({20, 6});
}

/// What the emulated GPU can answer in CI.
TEST(SlowLmEvalTest, AFewDocumentsOfEachKind) {
  H1_NEED_SHARED();
  ExpectTheGoldenRun({2, 1});
}

}  // namespace
}  // namespace h1bench

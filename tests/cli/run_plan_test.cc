// The plan printed before a run, held against what the run then does.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <thread>

#include "base/json.h"
#include "base/text.h"
#include "kernels/backend.h"
#include "runner/checkpoint/checkpoint.h"
#include "tests/cli/run_process.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

using testing::Program;

class RunPlanTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "h1bench-plan-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    const std::string demo = Demo();
    Write("suite.yaml", "name: small\ndata: " + demo +
                            "/data\nmodels:\n  - {name: toy, path: " + demo +
                            "/models/toy, precisions: [fp32]}\ntasks:\n"
                            "  - {task: mmlu, subjects: [anatomy, formal_logic], shots: 2}\n"
                            "  - {task: gsm8k, shots: 2, limit: 12, max_new_tokens: 40}\n"
                            "  - {task: niah, lengths: [256], depths: [0, 50], samples: 2}\n");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static std::string Demo() { return (testing::SourceDir() / "demo").string(); }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

  /// Runs to the end with exit code 0; what it printed on standard output.
  std::string Output(const std::vector<std::string>& arguments) {
    Program program(folder_, "out", arguments);
    EXPECT_EQ(program.Wait(), 0) << program.err();
    return program.out();
  }
  Json Run(std::vector<std::string> more, const std::string& suite = "suite.yaml") {
    more.insert(more.begin(), {"run", Path(suite), "--progress", "none", "--json"});
    const std::string text = Output(more);
    const Result<Json> json = ParseJson(text);
    EXPECT_TRUE(json.ok()) << text;
    return json.ok() ? *json : Json(Json::Object{});
  }

  std::filesystem::path folder_;
};

std::int64_t Int(const Json& json, const char* key) {
  const Json* value = json.Find(key);
  EXPECT_TRUE(value != nullptr && value->is_integer()) << key;
  return value != nullptr && value->is_integer() ? value->as_int() : -1;
}

const Json& Cell(const Json& plan, std::size_t task) {
  return plan.Find("variants")->as_array().at(0).Find("cells")->as_array().at(task);
}

/// Tokens of the prompts, with and without reuse, are those that the engine then reports.
TEST_F(RunPlanTest, TokensAreThoseOfTheRun) {
  for (const bool reuse : {true, false}) {
    const std::string db = Path(reuse ? "reuse.db" : "apart.db");
    std::vector<std::string> options = {"--db", db, "--workers", "2"};
    if (!reuse) options.push_back("--no-prefix-reuse");
    const Json result = Run(options);
    const Json& plan = *result.Find("plan");
    std::map<std::string, std::int64_t> prompts, computed;
    const std::string rows = Output({"samples", "--db", db});
    for (const std::string_view line : SplitLines(rows)) {
      if (line.empty()) continue;
      const Json row = ParseJson(line).value();
      const std::string task = row.Find("task")->as_string();
      prompts[task] += Int(row, "prompt_tokens");
      computed[task] += Int(row, "prompt_tokens") - Int(*row.Find("timing"), "reused_tokens");
    }
    for (std::size_t i = 0; i < 3; ++i) {
      const Json& cell = Cell(plan, i);
      const std::string task = cell.Find("task")->as_string();
      EXPECT_EQ(Int(cell, "prompt_tokens"), prompts[task]) << task;
      EXPECT_EQ(Int(cell, "computed_tokens"), computed[task]) << task;
      if (task == "mmlu") {
        EXPECT_EQ(computed[task] < prompts[task] / 2, reuse);
      }
    }
    EXPECT_GT(plan.Find("estimated_seconds")->as_double(), 0);
  }
}

/// Memory is the backend's own arithmetic, and nothing is made by looking.
TEST_F(RunPlanTest, ADryRunShowsMemoryAndStoresNothing) {
  const Json plan =
      Run({"--dry-run", "--db", Path("none.db"), "--memory", "1GB", "--workers", "2"});
  EXPECT_FALSE(std::filesystem::exists(Path("none.db")));
  EXPECT_EQ(Int(plan, "budget_bytes"), 500'000'000);
  const Checkpoint model = Checkpoint::Open(Demo() + "/models/toy").value();
  BackendOptions options;
  options.precision = Precision::kFp32;
  options.threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency() / 2));
  const MemoryPlan one = PlanMemory(model.config().shape, options, 1, 2048);
  const Json& variant = plan.Find("variants")->as_array().at(0);
  const Json& memory = *variant.Find("memory");
  EXPECT_EQ(Int(variant, "file_bytes"), model.weight_bytes());
  EXPECT_EQ(Int(memory, "weights"), one.weights);
  EXPECT_EQ(Int(memory, "workspace"), one.workspace);
  EXPECT_EQ(Int(memory, "context"), one.context);
  EXPECT_EQ(Int(memory, "state") % one.state, 0);
  EXPECT_GE(Int(memory, "state"), 6 * one.state);  // six generations of gsm8k side by side
  EXPECT_EQ(Int(memory, "total"),
            one.weights + one.workspace + one.context + Int(memory, "state") + Int(memory, "kv"));
}

TEST_F(RunPlanTest, WhatCannotFitIsRefusedWithWhatWould) {
  Program program(folder_, "refused",
                  {"run", Path("suite.yaml"), "--db", Path("r.db"), "--workers", "4", "--memory",
                   "320MB", "--progress", "none"});
  EXPECT_EQ(program.Wait(), 5);
  const std::string said = program.err();
  EXPECT_NE(said.find("not enough memory: toy fp32 needs "), std::string::npos) << said;
  EXPECT_NE(said.find("the budget is 80.0 MB a worker"), std::string::npos) << said;
  EXPECT_NE(said.find("It fits with --workers 3"), std::string::npos) << said;
  // Nothing was begun.
  Program list(folder_, "list", {"watch", "--db", Path("r.db"), "--json"});
  EXPECT_NE(list.Wait(), 0);
  EXPECT_NE(list.err().find("holds no run yet"), std::string::npos) << list.err();
  EXPECT_FALSE(std::filesystem::exists(Path("r.db.workers.log")));  // no worker, no model
}

TEST_F(RunPlanTest, TheMachineIsMeasuredOnceADatabase) {
  const std::vector<std::string> options = {"--db", Path("m.db")};
  const Json first = Run(options);
  EXPECT_GT(first.Find("plan")->Find("measuring_seconds")->as_double(), 0);
  const Json second = Run(options);
  EXPECT_EQ(second.Find("plan")->Find("measuring_seconds")->as_double(), 0);
  // Every answer is there already: nothing is left to compute.
  EXPECT_EQ(second.Find("results_digest")->as_string(), first.Find("results_digest")->as_string());
}

/// From the start of the program to the first lease, less what the model's files and, once, the
/// machine take: under a second on a machine that does nothing else (docs/performance.md); three
/// here, for those that do.
TEST_F(RunPlanTest, TheFirstLeaseComesSoon) {
  const Json result = Run({"--db", Path("s.db"), "--workers", "2"});
  const Json& start = *result.Find("start");
  const double seconds = start.Find("first_lease_seconds")->as_double() -
                         start.Find("reading_models_seconds")->as_double() -
                         start.Find("measuring_seconds")->as_double();
  EXPECT_GT(seconds, 0);
  EXPECT_LT(seconds, 3);
}

/// What a worker really holds at most, and what the plan said. 180 MB of weights: a second copy of
/// them (the checkpoint's pages) would be seen. Leases of several tasks are under way together, and
/// so are their sequences: a plan task after task would say 12, not 20.
TEST_F(RunPlanTest, SlowPeakMemoryIsWithinThePlan) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's shadow memory and red zones are in no plan";
#endif
  Output({"model", "synthesize", "--shape", "Tiny-90M", "--seed", "1", "--tokenizer",
          Demo() + "/models/toy/tokenizer.json", Path("model")});
  Write("big.yaml", "name: big\ndata: " + Demo() + "/data\nmodels: [{path: " + Path("model") +
                        "}]\ntasks:\n  - {task: mmlu, subjects: [anatomy], shots: 2, limit: 8}\n"
                        "  - {task: gsm8k, shots: 1, limit: 12, max_new_tokens: 24}\n"
                        "  - {task: niah, lengths: [256], depths: [0, 50], samples: 4}\n");
  const Json result = Run({"--db", Path("p.db")}, "big.yaml");
  const Json& variant = result.Find("plan")->Find("variants")->as_array().at(0);
  const Json& planned = *variant.Find("memory");
  const Json& workers = *result.Find("workers");
  ASSERT_GE(workers.as_array().size(), 1U);  // more when a busy machine cost it its leases
  const auto bytes = [](const Json& memory, const char* part) {
    return static_cast<double>(Int(memory, part));
  };
  for (const Json& worker : workers.as_array()) {
    const Json& used = *worker.Find("used");
    EXPECT_GT(bytes(used, "peak_rss"), bytes(variant, "file_bytes"));
    EXPECT_LT(bytes(used, "peak_rss"), bytes(planned, "total") * 1.1);
    EXPECT_LT(bytes(used, "state"), bytes(planned, "state") * 1.1);
    RecordProperty("peak", std::to_string(bytes(used, "peak_rss")));
  }
  RecordProperty("planned", std::to_string(bytes(planned, "total")));
}

}  // namespace
}  // namespace h1bench

// Suites, tasks and reports without memory (oom_fixture.h).
#include "base/json.h"
#include "base/sha256.h"
#include "harness/suite/suite.h"
#include "reports/render/render.h"
#include "tasks/task.h"
#include "tests/oom/oom_fixture.h"

namespace h1bench {
namespace {

class Runs : public Oom {
 protected:
  static Result<std::string> ReadSuite() {
    H1_ASSIGN_OR_RETURN(
        const Suite suite,
        ParseSuite("name: s\nmodels:\n  - {path: m, precisions: [bf16, fp32], max_length: 512}\n"
                   "tasks:\n  - {task: mmlu, subjects: [anatomy], shots: 2}\n  - {task: gsm8k, "
                   "limit: 3, temperature: 0.8, repeats: 4}\n",
                   "/tmp/suite.yaml"));
    return suite.models.at(0).name + WriteJson(suite.tasks.at(1).options);
  }
  static Result<std::string> LoadAndScore(const std::string& name) {
    tasks::TaskOptions options;
    options.data = Demo() / "data";
    options.limit = 2;
    options.shots = name == "humaneval" || name == "custom" ? -1 : 1;
    if (name == "mmlu") options.subjects = {"anatomy"};
    if (name == "custom") options.file = Demo() / "tasks/triviaqa.yaml";
    H1_ASSIGN_OR_RETURN(const std::unique_ptr<tasks::Task> task, tasks::LoadTask(name, options));
    Sha256 digest;
    for (const tasks::Document& document : task->documents()) {
      digest.UpdateField(task->BuildRequest(document).context);
      if (task->needs_judge()) continue;
      tasks::Response response;
      response.text = "The answer is 18.\n#### 18";
      response.loglikelihoods = {-1, -2, -3, -4};
      response.is_greedy = {true, false, false, false};
      const tasks::Score score = task->ScoreResponse(document, response, nullptr);
      digest.UpdateField(score.extracted + score.verdict);
    }
    return digest.FinishHex() + WriteJson(task->Describe());
  }

  void FailReport(std::int64_t dense, std::int64_t points) {
    {
      std::map<std::string, std::string> acked;
      const auto store = Store::Open(folder_ / "report.db", Store::Mode::kReadWrite);
      ASSERT_TRUE(store.ok());
      ASSERT_TRUE(Work(**store, acked).ok());
    }
    FailEach(
        "report",
        [&]() -> Result<std::string> {
          H1_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store,
                              Store::Open(folder_ / "report.db", Store::Mode::kReadOnly));
          H1_ASSIGN_OR_RETURN(const reports::Report report, reports::BuildReport(*store, 0, {}));
          return Sha256Hex(reports::RenderHtml(report) + reports::RenderMarkdown(report) +
                           reports::RenderJson(report) + reports::RenderTerminal(report, true));
        },
        dense, points, [] {}, 1);  // SQLite keeps one, where opening fails
  }
  void FailTasks(std::int64_t dense, std::int64_t points) {
    FailEach("suite", ReadSuite, dense, points);
    for (const char* name : {"gsm8k", "mmlu", "humaneval", "custom"})
      FailEach(
          name, [name] { return LoadAndScore(name); }, dense, points);
  }
};
class SlowOomRuns : public Runs {};
class FullOomRuns : public Runs {};

TEST_F(SlowOomRuns, TasksFail) { FailTasks(60, 40); }
TEST_F(SlowOomRuns, ReportFails) { FailReport(60, 60); }
TEST_F(FullOomRuns, TasksFail) { FailTasks(4000, 2000); }
TEST_F(FullOomRuns, ReportFails) { FailReport(20'000, 20'000); }

}  // namespace
}  // namespace h1bench

// From a database to a report: what counts, what does not, and equal bytes for equal results.
#include "reports/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <map>

#include "base/sha256.h"
#include "reports/build/ranking.h"
#include "reports/render/render.h"

namespace h1bench::reports {
namespace {

constexpr const char* kDescribe =
    R"({"kind":"generate_until","shots":0,"primary":"match","metrics":["match"],"chance":0.0,"groups":{},"headline":"micro","protocol":"p"})";

/// A run of four documents: right, wrong, an engine error, never answered. `slow` and `worker`
/// change nothing but times.
class ReportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("h1bench-report-" +
               std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::remove_all(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Store> MakeStore(const std::string& name, double seconds,
                                   const std::string& worker) {
    auto opened = Store::Open(folder_ / name, Store::Mode::kReadWrite);
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    auto store = std::move(opened).value();
    std::vector<VariantRow> variants(1);
    variants[0].model_name = "m";
    variants[0].precision = "fp32";
    std::vector<RunTaskRow> tasks(1);
    tasks[0].name = tasks[0].task = "niah";
    tasks[0].describe_json = kDescribe;
    RunRow run;
    run.name = "suite";
    run.created_unix_ms = static_cast<std::int64_t>(seconds * 1000);
    const auto id = store->CreateRun(run, variants, tasks, [&](const auto& add) -> Status {
      for (int i = 0; i < 4; ++i) {
        SampleRow row;
        row.variant_id = variants[0].id;
        row.run_task_id = tasks[0].id;
        row.index = i;
        row.prompt = "prompt " + std::to_string(i);
        row.prompt_sha256 = Sha256Hex(row.prompt);
        row.request_key = "key" + std::to_string(i);
        H1_RETURN_IF_ERROR(add(row));
      }
      return Status::Ok();
    });
    EXPECT_TRUE(store->RecordWorker(*id, worker, "one", "{}").ok());
    std::vector<std::int64_t> ids;
    for (const SampleRow& row : *store->PendingSamples(*id)) ids.push_back(row.id);
    const auto grant = store->GrantLease(*id, worker, "one", {ids[0], ids[1], ids[2]});
    std::vector<std::pair<std::int64_t, ResponseRow>> responses;
    for (std::size_t i = 0; i < 3; ++i) {
      ResponseRow response;
      response.key = "key" + std::to_string(i);
      response.text = "text";
      response.prompt_tokens = 10;
      response.prefill_seconds = seconds;
      response.worker = worker;
      if (i == 2) response.error = "the prompt is longer than the context";
      responses.emplace_back(ids[i], response);
    }
    EXPECT_TRUE(
        store->SubmitResponses(grant->lease_id, grant->attempt, "one", responses, true).ok());
    EXPECT_TRUE(store
                    ->RecordMemory(*id, variants[0].id, worker + "#1",
                                   fmt::format("{{\"engine_seconds\": {}}}", seconds))
                    .ok());
    std::vector<ScoreRow> scores(2);
    for (std::size_t i = 0; i < 2; ++i) {
      scores[i].sample_id = ids[i];
      scores[i].scores = {{"match", i == 0 ? 1.0 : 0.0}};
    }
    EXPECT_TRUE(store->InsertScores(scores).ok());
    return store;
  }

  using ScoreOf = std::pair<std::string, double>;
  /// The headline figure of one task whose samples, and what each scores, `make(i)` gives.
  Estimate PrimaryOf(const std::string& name, const std::string& describe, int count,
                     const std::function<std::pair<SampleRow, ScoreOf>(int)>& make) {
    auto store = std::move(*Store::Open(folder_ / name, Store::Mode::kReadWrite));
    std::vector<VariantRow> variants(1);
    std::vector<RunTaskRow> tasks(1);
    tasks[0].name = "t";
    tasks[0].describe_json = describe;
    std::map<std::string, ScoreOf> score_of;  // by request key
    const auto id = store->CreateRun({}, variants, tasks, [&](const auto& add) -> Status {
      for (int i = 0; i < count; ++i) {
        auto [row, score] = make(i);
        row.variant_id = variants[0].id;
        row.run_task_id = tasks[0].id;
        row.prompt_sha256 = Sha256Hex("");
        row.request_key = std::to_string(i);
        score_of[row.request_key] = score;
        H1_RETURN_IF_ERROR(add(row));
      }
      return Status::Ok();
    });
    EXPECT_TRUE(id.ok()) << id.status().message();
    std::vector<ScoreRow> scores;
    for (const SampleRow& row : *store->PendingSamples(*id)) {
      ScoreRow score;
      score.sample_id = row.id;
      score.scores = {score_of.at(row.request_key)};
      scores.push_back(score);
    }
    EXPECT_TRUE(store->InsertScores(scores).ok());
    return BuildReport(*store, 0, {})->variants[0].cells[0].primary;
  }

  std::filesystem::path folder_;
};

TEST_F(ReportTest, ErrorsCountAsWrongAndUnansweredDoNotCount) {
  const auto store = MakeStore("a.db", 2, "w");
  const auto report = BuildReport(*store, 0, {});
  ASSERT_TRUE(report.ok()) << report.status().message();
  const Cell& cell = report->variants[0].cells[0];
  EXPECT_EQ(cell.samples, 4);
  EXPECT_EQ(cell.scored, 3);  // the error is one of them
  EXPECT_EQ(cell.errors, 1);
  EXPECT_FALSE(cell.complete);
  EXPECT_DOUBLE_EQ(cell.primary.mean, 1.0 / 3);
  ASSERT_EQ(cell.metrics.size(), 1U);
  EXPECT_DOUBLE_EQ(cell.metrics[0].estimate.mean, 1.0 / 3);
}

// A score has one interval wherever it stands.
TEST_F(ReportTest, TheTableOfMetricsHasTheHeadlinesInterval) {
  auto store = MakeStore("a.db", 2, "w");
  const Report report = std::move(BuildReport(*store, 0, {})).value();
  const Cell& cell = report.variants[0].cells[0];
  EXPECT_EQ(cell.metrics[0].estimate.interval.low, cell.primary.interval.low);
  EXPECT_EQ(cell.metrics[0].estimate.interval.high, cell.primary.interval.high);
}

// Ten copies of an answer say no more than one.
TEST_F(ReportTest, RepeatsAreOneObservation) {
  const auto width = [&](int repeats) {
    return PrimaryOf(std::to_string(repeats) + ".db", kDescribe, 8 * repeats, [&](int i) {
      SampleRow row;
      row.index = i / repeats;
      row.repeat = i % repeats;
      return std::pair(row, ScoreOf{"match", row.index < 6 ? 1.0 : 0.0});
    });
  };
  EXPECT_DOUBLE_EQ(width(1).mean, 0.75);
  EXPECT_DOUBLE_EQ(width(10).mean, 0.75);
  EXPECT_DOUBLE_EQ(width(10).interval.half_width(), width(1).interval.half_width());
  EXPECT_EQ(width(10).n, 8);
}

// The switch mmlu_average: 3 of 4 right in one subject, 0 of 1 in the other.
TEST_F(ReportTest, TheHeadlineIsTheAverageAskedFor) {
  const auto primary = [&](const std::string& headline) {
    const std::string describe =
        R"({"primary":"acc","metrics":["acc"],"headline":")" + headline + "\"}";
    return PrimaryOf(headline + ".db", describe, 5, [](int i) {
      SampleRow row;
      row.subset = i < 4 ? "anatomy" : "virology";
      row.index = i;
      return std::pair(row, ScoreOf{"acc", i < 3 ? 1.0 : 0.0});
    });
  };
  EXPECT_DOUBLE_EQ(primary("micro").mean, 0.6);
  EXPECT_DOUBLE_EQ(primary("macro").mean, 0.375);
  EXPECT_DOUBLE_EQ(primary("lm-eval").mean, 0.6);
  // lm-eval's: squares 3/4 within anatomy, n - k = 3.
  EXPECT_DOUBLE_EQ(primary("lm-eval").standard_error, std::sqrt(0.75 / 3 / 5));
  EXPECT_NE(primary("micro").standard_error, primary("lm-eval").standard_error);
}

TEST_F(ReportTest, SpeedIsTokensOfThisRunOverEngineTime) {
  const auto store = MakeStore("a.db", 2, "w");
  const auto report = BuildReport(*store, 0, {});
  ASSERT_TRUE(report.ok());
  EXPECT_DOUBLE_EQ(report->variants[0].tokens_per_second, 30 / 2.0);
}

// What a worker tells of its GPU reaches every format, and none without timing.
TEST_F(ReportTest, EnergyOfTheGpu) {
  const auto store = MakeStore("gpu.db", 2, "w");
  EXPECT_TRUE(
      store
          ->RecordMemory(1, 1, "w#1",
                         R"({"engine_seconds": 2, "gpu": {"name": "Fake GPU", "seconds": 2.0,
                                     "joules": 640.5, "energy_counter": true, "mean_watts": 320.25,
                                     "peak_watts": 450.0, "foreign_processes": [7]}})")
          .ok());
  for (const bool timing : {true, false}) {
    ReportOptions options;
    options.timing = timing;
    const auto report = BuildReport(*store, 0, options);
    ASSERT_TRUE(report.ok()) << report.status().message();
    for (const std::string& text :
         {RenderMarkdown(*report), RenderHtml(*report), RenderJson(*report)}) {
      EXPECT_EQ(text.find("640.5 J") != std::string::npos, timing);
      EXPECT_EQ(text.find("mean 320.2 W, peak 450.0 W") != std::string::npos, timing);
      EXPECT_EQ(text.find("1 other process") != std::string::npos, timing);
    }
    // Three answers, one of them right.
    EXPECT_EQ(report->variants[0].joules_per_answer.value_or(0), timing ? 640.5 / 3 : 0);
    EXPECT_EQ(report->variants[0].joules_per_right_answer.value_or(0), timing ? 640.5 : 0);
    EXPECT_EQ(RenderHtml(*report).find("J/right answer") != std::string::npos, timing);
  }
  const auto plain = BuildReport(*MakeStore("cpu.db", 2, "w"), 0, {});
  EXPECT_EQ(RenderJson(*plain).find("gpus"), std::string::npos);
  EXPECT_EQ(RenderMarkdown(*plain).find("GPU of"), std::string::npos);
}

// The sentence at the top: the best, who is level with it, and the best of the much smaller ones.
TEST_F(ReportTest, TheAnswerNamesTheThriftyOne) {
  Report report;
  report.tasks.resize(2);
  const auto add = [&](const char* name, double mean, std::int64_t bytes) {
    ReportVariant& variant = report.variants.emplace_back();
    variant.name = name;
    variant.precision = "bf16";
    variant.weight_bytes = bytes;
    variant.average = Estimate{mean, {mean - 0.02, mean + 0.02}, 100};
  };
  add("tiny", 0.30, 100);
  add("big", 0.62, 1000);
  add("small", 0.50, 330);
  add("same", 0.61, 900);
  Rank(report);
  EXPECT_EQ(report.answer,
            "big bf16 scores highest of 4: 62.0 % on average over 2 tasks (95 % interval 60.0 to "
            "64.0 %); within its interval: same bf16; small bf16 is 12.0 points below with 33 % of "
            "its weights.");
  EXPECT_EQ(report.ranking, (std::vector<std::size_t>{1, 3, 2, 0}));
  report.variants.resize(1);  // alone it is no race
  Rank(report);
  EXPECT_EQ(report.answer,
            "tiny bf16 scores 30.0 % on average over 2 tasks (95 % interval 28.0 to 32.0 %).");
}

TEST_F(ReportTest, EqualResultsGiveEqualBytesWithoutTiming) {
  const auto a = MakeStore("a.db", 2, "w"), b = MakeStore("b.db", 77, "another");
  ReportOptions quiet;
  quiet.timing = false;
  const auto first = BuildReport(*a, 0, quiet), second = BuildReport(*b, 0, quiet);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(RenderMarkdown(*first), RenderMarkdown(*second));
  EXPECT_EQ(RenderJson(*first), RenderJson(*second));
  EXPECT_EQ(RenderHtml(*first), RenderHtml(*second));
  EXPECT_EQ(RenderTerminal(*first, false), RenderTerminal(*second, false));
  // With timing the two differ: the comparison above can fail.
  EXPECT_NE(RenderJson(*BuildReport(*a, 0, {})), RenderJson(*BuildReport(*b, 0, {})));
}

}  // namespace
}  // namespace h1bench::reports

// The JSON report: documented, parseable whatever the text in it, and without times when asked.
#include "base/json.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "base/file.h"
#include "reports/render/render.h"
#include "tests/paths.h"

namespace h1bench::reports {
namespace {

Report MakeReport(const std::string& text, bool timing) {
  Report report;
  report.title = report.answer = report.suite_text = text;
  report.timing = timing;
  report.environment = {{"(label)", text}};
  report.methods = {{"(label)", text}};
  ReportTask task;
  task.name = "(task)";
  report.tasks = {task};
  ReportVariant variant;
  variant.name = text;
  variant.average = Estimate{0.5, {0.4, 0.6}, 10};
  variant.memory = ReportVariant::Memory{};
  Json gpu;
  gpu.Set("name", "GPU").Set("joules", 12.5).Set("mean_watts", 300.0);
  variant.gpus = {{"(worker)", gpu}};
  Cell cell;
  cell.scored = 1;
  cell.macro = variant.average;
  cell.metrics = cell.subsets = cell.groups = {{"(name)", *variant.average}};
  cell.grid = {{256, 50, *variant.average}};
  cell.by_length.lengths = {{4096, *variant.average}};
  cell.by_length.categories = {{"(category)", cell.by_length.lengths}};
  cell.by_length.threshold = 0.856;
  cell.verdicts = {{"(verdict)", 1}};
  variant.cells = {cell};
  variant.joules_per_answer = variant.joules_per_right_answer = 1.5;
  report.variants = {variant};
  report.ranking = {0};
  report.prefixes = {text};
  report.prompts = {{0, text, false}};
  ReportSample sample;
  sample.response = text;
  report.samples = {sample};
  return report;
}

/// Names of all members at any depth, but for those in parentheses (names from the data).
void Collect(const Json& json, std::set<std::string>& names) {
  if (json.is_array())
    for (const Json& item : json.as_array()) Collect(item, names);
  if (!json.is_object()) return;
  for (const auto& [name, value] : json.as_object()) {
    if (name.front() != '(') names.insert(name);
    Collect(value, names);
  }
}

TEST(ReportJson, EveryMemberIsDocumented) {
  const auto page = ReadFile(testing::SourceDir() / "docs/report-json.md");
  ASSERT_TRUE(page.ok()) << page.status().message();
  const auto json = ParseJson(RenderJson(MakeReport("x", true)));
  ASSERT_TRUE(json.ok()) << json.status().message();
  std::set<std::string> names;
  Collect(*json, names);
  EXPECT_GT(names.size(), 50U);
  for (const std::string& name : names) {
    const bool found = page->find("`" + name + "`") != std::string::npos ||
                       page->find("\"" + name + "\"") != std::string::npos;
    EXPECT_TRUE(found) << name << " is not in docs/report-json.md";
  }
}

TEST(ReportJson, NoTimingLeavesTimesOut) {
  std::set<std::string> with, without;
  Collect(*ParseJson(RenderJson(MakeReport("x", true))), with);
  Collect(*ParseJson(RenderJson(MakeReport("x", false))), without);
  std::set<std::string> timing;
  std::set_difference(with.begin(), with.end(), without.begin(), without.end(),
                      std::inserter(timing, timing.end()));
  EXPECT_EQ(timing, (std::set<std::string>{"busy_seconds",
                                           "computed",
                                           "context",
                                           "created",
                                           "database_digest",
                                           "detail",
                                           "environment",
                                           "gpus",
                                           "id",
                                           "inter_token_seconds",
                                           "joules",
                                           "joules_per_answer",
                                           "joules_per_right_answer",
                                           "kv",
                                           "mean_watts",
                                           "memory_bytes",
                                           "peak_rss",
                                           "phases",
                                           "reused_tokens",
                                           "run",
                                           "seconds",
                                           "speed",
                                           "tokens_per_second",
                                           "ttft_seconds",
                                           "weights",
                                           "workspace"}));
}

TEST(ReportJson, HostileTextParsesBack) {
  const std::string text = std::string("\" } ] \0 \n", 9) + "\xE2\x80\xA8 \\ </script>";
  const auto json = ParseJson(RenderJson(MakeReport(text, true)));
  ASSERT_TRUE(json.ok()) << json.status().message();
  EXPECT_EQ(json->Find("answer")->as_string(), text);
  EXPECT_TRUE(ParseJson(RenderJson(MakeReport("bad \xFF", true))).ok());
}

}  // namespace
}  // namespace h1bench::reports

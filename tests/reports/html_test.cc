// The HTML page under hostile text: nothing that a model or a dataset wrote becomes markup, script
// or layout.
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "base/text.h"
#include "reports/render/assets.h"
#include "reports/render/render.h"

namespace h1bench::reports {
namespace {

const std::string& Hostile() {
  static const std::string text = std::string(
                                      "</script><script>alert(1)</script><!-- <img src=x "
                                      "onerror=alert(1)> \" ' & ]]> \u2028 \u2029 ") +
                                  "\u202E reversed \u2066 " + std::string("NUL\0.", 5) +
                                  " bad \xFF\xC3( \x1b[31m {0} %s";
  return text;
}

Estimate Half() { return {0.5, {0.4, 0.6}, 10}; }

/// A report in which every string that comes from outside is `text`.
Report MakeReport(const std::string& text, bool timing = true) {
  Report report;
  report.title = report.answer = report.suite_text = report.state = text;
  report.timing = timing;
  report.warnings = {text};
  report.methods = {{text, text}};
  report.results_digest = std::string(64, 'a');
  if (timing) {
    report.environment = {{text, text}};
    report.database_digest = std::string(64, 'b');
  }
  ReportTask task;
  task.name = task.task = task.protocol = task.primary = task.headline = text;
  task.warnings = {text};
  task.describe.Set("grid", true);
  report.tasks = {task};
  ReportVariant variant;
  variant.name = variant.precision = text;
  variant.average = Half();
  if (timing) variant.memory = ReportVariant::Memory{1, 2, 3, 4, 5, 6};
  variant.tokens_per_second = 4711;
  variant.busy_seconds = 815;
  if (timing) variant.speed.ttft = {3, 0.1, 0.2, 0.3};
  Cell cell;
  cell.primary = Half();
  cell.scored = 10;
  cell.missing_reason = text;
  cell.metrics = cell.subsets = cell.groups = {{text, Half()}};
  cell.grid = {{256, 50, Half()}};
  cell.verdicts = {{text, 3}};
  variant.cells = {cell};
  report.variants = {variant};
  report.ranking = {0};
  ReportSample sample;
  sample.subset = sample.document_id = sample.response = text;
  sample.extracted = sample.gold = sample.verdict = sample.detail = text;
  sample.seconds = 0.123456;
  report.samples = {sample};
  report.prompts = {{0, text, false}};
  report.prefixes = {text};
  report.samples_total = 1;
  return report;
}

std::size_t Count(const std::string& page, std::string_view what) {
  std::size_t count = 0;
  for (std::size_t at = page.find(what); at != std::string::npos; at = page.find(what, at + 1))
    ++count;
  return count;
}

/// What is wrong with a page, or nothing. `plain` is the page of the same report with harmless
/// text: markup may not differ.
std::string Complaint(const std::string& page, const std::string& plain) {
  if (!IsValidUtf8(page)) return "not UTF-8";
  for (const char* element : {"<script", "</script", "<img", "<!--", "<td", "<p", "<span"}) {
    if (Count(page, element) != Count(plain, element))
      return std::string("another number of ") + element;
  }
  const std::string own = std::string(kChartScript) + kPageScript + kPageStyle;
  for (const char* bad : {"\u202E", "\u2066", "\x1b"}) {
    if (Count(page, bad) != Count(own, bad)) return "a control character";
  }
  const std::size_t data = page.find("id=\"data\">");
  const std::string island = page.substr(data, page.find("</script", data) - data);
  if (Count(island, "<") + Count(island, "\u2028") + Count(island, "\u2029") > 0)
    return "data that could end its script";
  if (page.find('\0') != std::string::npos) return "NUL";
  return "";
}

TEST(ReportHtml, HostileTextStaysText) {
  const std::string plain = RenderHtml(MakeReport("harmless"));
  EXPECT_EQ(Complaint(plain, plain), "");
  EXPECT_EQ(Complaint(RenderHtml(MakeReport(Hostile())), plain), "");
}

TEST(ReportHtml, TheComplaintSeesWhatIsNotEscaped) {
  const std::string plain = RenderHtml(MakeReport("harmless"));
  const auto with = [&](const std::string& text) {
    std::string page = plain;
    page.replace(page.find("harmless"), 8, text);
    return Complaint(page, plain);
  };
  EXPECT_EQ(with("<script>alert(1)"), "another number of <script");
  EXPECT_EQ(with("<img src=x>"), "another number of <img");
  EXPECT_EQ(with("\u202E"), "a control character");
  EXPECT_EQ(with("\xFF"), "not UTF-8");
  EXPECT_EQ(with(std::string(1, '\0')), "NUL");
}

TEST(ReportHtml, AttributesCannotBeLeft) {
  const std::string page = RenderHtml(MakeReport("\" onmouseover=\"x"));
  EXPECT_EQ(Count(page, "title=\"\" onmouseover"), 0U);
  EXPECT_EQ(Count(page.substr(0, page.find("<script")), "=\"x\""), 0U);
  EXPECT_GT(Count(page, "&quot; onmouseover=&quot;x"), 5U);
}

TEST(ReportHtml, APromptOfAMegabyteInOneLine) {
  const std::string page = RenderHtml(MakeReport(std::string(1 << 20, '<')));
  EXPECT_TRUE(IsValidUtf8(page));
  EXPECT_EQ(Count(page, "<<"), Count(std::string(kChartScript) + kPageScript + kPageStyle, "<<"));
}

TEST(ReportHtml, SameReportSameBytesAndNoTimingHidesTimes) {
  EXPECT_EQ(RenderHtml(MakeReport(Hostile())), RenderHtml(MakeReport(Hostile())));
  const std::string with = RenderHtml(MakeReport("x"));
  const std::string without = RenderHtml(MakeReport("x", false));
  for (const char* timing : {"4711", "13 min 35 s", "0.123456", "bbbbbbbb"}) {
    EXPECT_NE(with.find(timing), std::string::npos) << timing;
    EXPECT_EQ(without.find(timing), std::string::npos) << timing;
  }
  EXPECT_NE(without.find(std::string(64, 'a')), std::string::npos);
}

TEST(ReportHtml, PolicyAllowsOurTwoScriptsAndNoNetwork) {
  const std::string page = RenderHtml(MakeReport("x"));
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
  EXPECT_EQ(Count(page, "'sha256-"), 2U);
  EXPECT_EQ(Count(page, "script-src 'unsafe"), 0U);
  const std::string markup = page.substr(0, page.find("<script"));
  for (const char* network : {"src=", "url(", "@import", "<link", "<base"})
    EXPECT_EQ(Count(markup, network), 0U) << network;
  EXPECT_EQ(Count(markup, "href="), Count(markup, "href=\"#"));  // only places in the page
  // The embedded scripts must not end early or contain what would be data of the page.
  EXPECT_EQ(Count(kChartScript, "</script"), 0U);
  EXPECT_EQ(Count(kPageScript, "</script"), 0U);
}

TEST(ReportHtml, EmptyReportRenders) {
  const std::string page = RenderHtml(Report());
  EXPECT_NE(page.find("</html>"), std::string::npos);
}

}  // namespace
}  // namespace h1bench::reports

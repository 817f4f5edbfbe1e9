// Markdown and the terminal under hostile text: nothing that a model, a dataset or a suite wrote
// becomes markup, a table cell, a line or a control sequence.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/text.h"
#include "reports/render/render.h"

namespace h1bench::reports {
namespace {

std::string Hostile() {
  return std::string(
             "a|b `c` <script>x</script> <!-- **d** [e](javascript:f) ![g](h) \n| i | j |\n") +
         "\u202Ek\u2066 " + std::string("NUL\0.", 5) +
         " \xFF\xC3( \x1b[31m \x1b]0;title\x07 \r & " + std::string(5000, 'l');
}

Estimate Half() { return {0.5, {0.4, 0.6}, 10}; }

/// A report in which every string that comes from outside is `text`.
Report MakeReport(const std::string& text) {
  Report report;
  report.title = report.answer = report.description = text;
  report.warnings = {text};
  report.methods = {{text, text}};
  report.environment = {{text, text}, {text, Json(Json::Array{text})}};
  report.results_digest = report.database_digest = std::string(64, 'a');
  ReportTask task;
  task.name = task.task = task.protocol = task.primary = task.headline = text;
  report.tasks = {task};
  ReportVariant variant;
  variant.name = variant.precision = text;
  variant.average = Half();
  variant.memory = ReportVariant::Memory{1000, 2000, 3000, 4000, 5000, 6000};
  variant.speed.ttft = {3, 0.1, 0.2, 0.3};
  Cell cell;
  cell.primary = Half();
  cell.scored = 10;
  cell.missing_reason = text;
  cell.metrics = cell.subsets = cell.groups = {{text, Half()}};
  cell.grid = {{256, 0, Half()}, {1024, 0, Half()}, {256, 50, Half()}};
  variant.cells = {cell};
  report.variants = {variant};
  report.ranking = {0};
  return report;
}

/// `what` where no backslash stands before it.
std::int64_t CountBare(const std::string& page, char what) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < page.size(); ++i)
    count += page[i] == what && (i == 0 || page[i - 1] != '\\');
  return count;
}

std::string Complaint(const std::string& page, const std::string& plain, const char* markup) {
  if (!IsValidUtf8(page)) return "not UTF-8";
  for (const char* bad : {"\u202E", "\u2066", "\x1b", "\x07", "\r"}) {
    if (page.find(bad) != std::string::npos) return "a control character";
  }
  if (page.find('\0') != std::string::npos) return "NUL";
  if (CountBare(page, '\n') != CountBare(plain, '\n')) return "another number of lines";
  for (const char* c = markup; *c != 0; ++c) {
    if (CountBare(page, *c) != CountBare(plain, *c)) return std::string("another number of ") + *c;
  }
  return "";
}

constexpr const char* kMarkup = "|`<>*[]!";

TEST(ReportMarkdown, HostileTextStaysText) {
  const std::string plain = RenderMarkdown(MakeReport("harmless"));
  EXPECT_EQ(Complaint(RenderMarkdown(MakeReport(Hostile())), plain, kMarkup), "");
}

TEST(ReportTerminal, HostileTextStaysText) {
  const std::string plain = RenderTerminal(MakeReport("harmless"), false);
  EXPECT_EQ(Complaint(RenderTerminal(MakeReport(Hostile()), false), plain, ""), "");
}

// However many tasks: what does not fit into 100 columns goes below, with the names again.
TEST(ReportTerminal, FitsAHundredColumns) {
  for (const std::size_t tasks : {1U, 4U, 5U, 20U}) {
    Report report = MakeReport("toy");
    report.tasks.assign(tasks, report.tasks[0]);
    report.tasks.back().name = "the-last-of-the-tasks";  // cut to 18 characters
    report.variants[0].cells.assign(tasks, report.variants[0].cells[0]);
    for (Cell& cell : report.variants[0].cells) cell.missing_reason.clear();
    const std::string text = RenderTerminal(report, false);
    for (const std::string_view line : SplitLines(text))
      EXPECT_LE(CountCodePoints(line), 100U) << line;
    EXPECT_NE(text.find("the-last-of-the-t…"), std::string::npos);
    std::size_t heads = 0;
    for (std::size_t at = text.find("prec."); at != std::string::npos;
         at = text.find("prec.", at + 1))
      ++heads;
    EXPECT_EQ(heads, tasks == 20 ? 4U : tasks == 1 ? 1U : 2U) << text;
  }
}

TEST(ReportMarkdown, TheComplaintSeesWhatIsNotEscaped) {
  const std::string plain = RenderMarkdown(MakeReport("harmless"));
  const auto with = [&](const std::string& text) {
    std::string page = plain;
    page.replace(page.find("harmless"), 8, text);
    return Complaint(page, plain, kMarkup);
  };
  EXPECT_EQ(with("a|b"), "another number of |");
  EXPECT_EQ(with("<b"), "another number of <");
  EXPECT_EQ(with("\x1b[31m"), "a control character");
  EXPECT_EQ(with("a\nb"), "another number of lines");
  EXPECT_EQ(with("\xFF"), "not UTF-8");
  EXPECT_EQ(with(std::string(1, '\0')), "NUL");
}

TEST(ReportMarkdown, GridOfDepthsAndMemory) {
  Report report = MakeReport("m");
  const std::string page = RenderMarkdown(report);
  EXPECT_NE(page.find("| depth | 256 | 1,024 |\n|--:|--:|--:|\n"
                      "| 0 % | 50.0 ± 10.0 | 50.0 ± 10.0 |\n"
                      "| 50 % | 50.0 ± 10.0 | n/a |\n"),
            std::string::npos)
      << page;
  EXPECT_NE(page.find("| m m | 1.0 kB | 2.0 kB | 3.0 kB | 4.0 kB | 6.0 kB |"), std::string::npos)
      << page;
  report.timing = false;  // measured bytes may differ between executions
  EXPECT_EQ(RenderMarkdown(report).find("### Memory"), std::string::npos);
}

}  // namespace
}  // namespace h1bench::reports

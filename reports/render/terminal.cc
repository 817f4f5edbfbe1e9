#include <algorithm>

#include "base/text.h"
#include "reports/render/render.h"

namespace h1bench::reports {
namespace {

using Row = std::vector<std::string>;

/// Visible text on one line: a name with a line break may not make a row of its own.
std::string OneLine(const std::string& text) {
  std::string out = VisibleText(ReplaceInvalidUtf8(text));
  std::replace(out.begin(), out.end(), '\n', ' ');
  return out;
}

/// Columns padded to their widest entry; the first two to the left, numbers to the right.
std::string Align(const std::vector<Row>& rows, bool colour) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], CountCodePoints(row[i]));
  }
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line = " ";
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      const std::string space(widths[i] - CountCodePoints(rows[r][i]), ' ');
      line += " " + (i < 2 ? rows[r][i] + space : space + rows[r][i]) + " ";
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += (colour && r == 0 ? "\033[1m" + line + "\033[0m" : line) + "\n";
  }
  return out;
}

}  // namespace

std::string RenderTerminal(const Report& report, bool colour) {
  std::vector<Row> rows;
  Row head = {"model", "precision", "average"};
  for (const ReportTask& task : report.tasks) head.push_back(OneLine(task.name));
  if (report.timing) head.insert(head.end(), {"tokens/s", "time", "memory"});
  rows.push_back(head);
  for (const std::size_t place : report.ranking) {
    const ReportVariant& variant = report.variants[place];
    Row row = {OneLine(variant.name), OneLine(variant.precision),
               variant.average ? Percent(*variant.average) : "n/a"};
    for (const Cell& cell : variant.cells)
      row.push_back(cell.scored == 0 ? "n/a" : Percent(cell.primary));
    if (report.timing) {
      row.push_back(variant.busy_seconds > 0 ? fmt::format("{:.0f}", variant.tokens_per_second)
                                             : "n/a");
      row.push_back(variant.busy_seconds > 0 ? Duration(variant.busy_seconds) : "n/a");
      row.push_back(variant.memory ? Bytes(variant.memory->peak_rss) : "n/a");
    }
    rows.push_back(std::move(row));
  }
  std::string out = "\n" + Align(rows, colour) + "\n  " + OneLine(report.answer) +
                    "\n  Scores in percent with 95 % intervals.\n";
  for (std::size_t task = 0; task < report.tasks.size(); ++task) {
    std::vector<Row> lengths = LengthTable(report, task);
    if (lengths.empty()) continue;
    for (Row& row : lengths) {
      for (std::string& text : row) text = OneLine(text);
    }
    out += "\n  " + OneLine(report.tasks[task].name) + " by context length\n" +
           Align(lengths, colour) + "\n";
  }
  if (!report.description.empty()) out += "  " + OneLine(report.description) + "\n";
  for (const std::size_t place : report.ranking) {
    const ReportVariant& variant = report.variants[place];
    for (std::size_t task = 0; task < variant.cells.size(); ++task) {
      if (!variant.cells[task].missing_reason.empty())
        out += OneLine(fmt::format("  n/a: {} on {}: {}", variant.label(), report.tasks[task].name,
                                   variant.cells[task].missing_reason)) +
               "\n";
    }
  }
  for (const std::string& warning : report.warnings) out += "  ! " + OneLine(warning) + "\n";
  return out;
}

}  // namespace h1bench::reports

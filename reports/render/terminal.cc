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

constexpr std::size_t kModel = 28, kPrecision = 12, kTask = 18;  // code points shown of a name
constexpr std::size_t kWidth = 100;  // what a leaderboard may need of a terminal

/// A name as the table shows it: on one line, its end cut off when it is long.
std::string Short(const std::string& name, std::size_t limit) {
  const std::string line = OneLine(name);
  if (CountCodePoints(line) <= limit) return line;
  std::size_t end = 0;
  for (std::size_t i = 0; i + 1 < limit; ++i) NextCodePoint(line, end);
  return line.substr(0, end) + "…";
}

std::vector<std::size_t> Widths(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], CountCodePoints(row[i]));
  }
  return widths;
}

/// The columns that name a row, then those of [first, last), padded to their widest entry.
std::string Part(const std::vector<Row>& rows, const std::vector<std::size_t>& widths,
                 std::size_t names, std::size_t first, std::size_t last, bool colour) {
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < std::min(last, rows[r].size()); ++i) {
      if (i >= names && i < first) continue;
      const std::string space(widths[i] - CountCodePoints(rows[r][i]), ' ');
      line += "  " + (i < names ? rows[r][i] + space : space + rows[r][i]);
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += (colour && r == 0 ? "\033[1m" + line + "\033[0m" : line) + "\n";
  }
  return out;
}

/// A table in as many parts below each other as it takes to stay inside the width. `names`:
/// columns that name a row, to the left and in every part. `group`: a column where it breaks rather
/// than a few columns later.
std::string Align(const std::vector<Row>& rows, std::size_t names, std::size_t group, bool colour) {
  const std::vector<std::size_t> widths = Widths(rows);
  std::size_t left = 0;
  for (std::size_t i = 0; i < std::min(names, widths.size()); ++i) left += 2 + widths[i];
  std::string out;
  std::size_t first = names;
  while (true) {
    std::size_t last = first, used = left;
    while (last < widths.size() && (last == first || used + 2 + widths[last] <= kWidth))
      used += 2 + widths[last++];
    if (last < widths.size() && first < group && group < last) last = group;
    out += Part(rows, widths, names, first, last, colour);
    if (last >= widths.size()) return out;
    out += "\n";
    first = last;
  }
}

}  // namespace

std::string RenderTerminal(const Report& report, bool colour) {
  std::vector<Row> rows;
  Row head = {"model", "prec.", "average"};
  for (const ReportTask& task : report.tasks) head.push_back(Short(task.name, kTask));
  const std::size_t costs = head.size();
  if (report.timing) head.insert(head.end(), {"tok/s", "time", "memory"});
  rows.push_back(head);
  for (const std::size_t place : report.ranking) {
    const ReportVariant& variant = report.variants[place];
    Row row = {Short(variant.name, kModel), Short(variant.precision, kPrecision),
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
  std::string out = "\n" + Align(rows, 2, costs, colour) + "\n  " + OneLine(report.answer) +
                    "\n  Scores in percent with 95 % intervals.\n";
  for (std::size_t task = 0; task < report.tasks.size(); ++task) {
    std::vector<Row> lengths = LengthTable(report, task);
    if (lengths.empty()) continue;
    for (Row& row : lengths) {
      for (std::string& text : row) text = Short(text, kModel + kPrecision);
    }
    out += "\n  " + OneLine(report.tasks[task].name) + " by context length\n" +
           Align(lengths, 1, lengths[0].size(), colour) + "\n";
  }
  if (!report.description.empty()) out += "  " + OneLine(report.description) + "\n";
  for (const std::string& note : NotAvailableNotes(report)) out += OneLine("  n/a: " + note) + "\n";
  for (const std::string& warning : report.warnings) out += "  ! " + OneLine(warning) + "\n";
  return out;
}

}  // namespace h1bench::reports

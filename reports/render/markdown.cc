#include <algorithm>
#include <map>
#include <set>

#include "reports/render/render.h"

namespace h1bench::reports {
namespace {

class Markdown {
 public:
  explicit Markdown(const Report& report) : report_(report) {}

  std::string Render() {
    Line("# {}", EscapeMarkdown(report_.title));
    Line("\n{}", EscapeMarkdown(report_.answer));
    if (!report_.description.empty()) Line("\n{}", EscapeMarkdown(report_.description));
    if (!report_.created.empty()) Line("\nRun {} of {}.", report_.run_name, report_.created);
    Leaderboard();
    MemorySplit();
    Waits();
    if (!report_.warnings.empty()) {
      Line("\n## Worth a look\n");
      for (const std::string& warning : report_.warnings) Line("- {}", EscapeMarkdown(warning));
    }
    for (std::size_t task = 0; task < report_.tasks.size(); ++task) TaskSection(task);
    Methods();
    return out_;
  }

 private:
  template <typename... Args>
  void Line(fmt::format_string<Args...> format, Args&&... args) {
    out_ += fmt::format(format, std::forward<Args>(args)...) + "\n";
  }

  void Leaderboard() {
    Line(
        "\n## Leaderboard\n\nScores in percent with 95 % intervals. Bold: the best of a column and "
        "all whose interval reaches its.\n");
    std::string head = "| model | precision | average |", rule = "|---|---|--:|";
    for (const ReportTask& task : report_.tasks) {
      head += " " + EscapeMarkdown(task.name) + " |";
      rule += "--:|";
    }
    head += " weights |";
    rule += "--:|";
    if (report_.timing) {
      head += " tokens/s | time | peak memory |";
      rule += "--:|--:|--:|";
    }
    Line("{}\n{}", head, rule);
    for (const std::size_t place : report_.ranking) {
      const ReportVariant& variant = report_.variants[place];
      const std::string average = variant.average ? Percent(*variant.average) : "n/a";
      std::string row = fmt::format(
          "| {} | {} | {} |", EscapeMarkdown(variant.name), EscapeMarkdown(variant.precision),
          LeadsOnAverage(report_, variant) ? "**" + average + "**" : average);
      for (std::size_t task = 0; task < variant.cells.size(); ++task) {
        const Cell& cell = variant.cells[task];
        const std::string text = cell.scored == 0 ? "n/a" : Percent(cell.primary);
        row += Leads(report_, variant, task) ? " **" + text + "** |" : " " + text + " |";
      }
      row += fmt::format(" {} |", Bytes(variant.weight_bytes));
      if (report_.timing) {
        row += fmt::format(
            " {} | {} | {} |",
            variant.busy_seconds > 0 ? fmt::format("{:.0f}", variant.tokens_per_second) : "n/a",
            variant.busy_seconds > 0 ? Duration(variant.busy_seconds) : "n/a",
            variant.memory ? Bytes(variant.memory->peak_rss) : "n/a");
      }
      Line("{}", row);
    }
    for (const std::string& note : NotAvailableNotes(report_))
      Line("\nn/a: {}", EscapeMarkdown(note));
  }

  /// Plain cells under a head; numbers to the right.
  void Rows(const std::vector<std::vector<std::string>>& rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::string row = i == 0 ? "\n|" : "|";
      for (const std::string& text : rows[i]) row += " " + EscapeMarkdown(text) + " |";
      Line("{}", row);
      if (i > 0) continue;
      row = "|---|";
      for (std::size_t column = 1; column < rows[0].size(); ++column) row += "--:|";
      Line("{}", row);
    }
  }

  void Waits() {
    const auto rows = SpeedTable(report_);
    if (rows.empty()) return;
    Line("\n### Time to and between tokens\n\n{}", SpeedNote());
    Rows(rows);
  }

  /// The largest worker's memory by what holds it; measured, so absent without timing.
  void MemorySplit() {
    bool head = false;
    for (const std::size_t place : report_.ranking) {
      const ReportVariant& variant = report_.variants[place];
      if (!report_.timing || !variant.memory) continue;
      if (!head) {
        Line("\n### Memory\n\n| model | weights | KV | SSM state | workspace | peak |");
        Line("|---|--:|--:|--:|--:|--:|");
        head = true;
      }
      const ReportVariant::Memory& memory = *variant.memory;
      Line("| {} | {} | {} | {} | {} | {} |", EscapeMarkdown(variant.label()),
           Bytes(memory.weights), Bytes(memory.kv), Bytes(memory.state), Bytes(memory.workspace),
           Bytes(memory.peak_rss));
    }
  }

  /// Depth x length of each variant that has such a grid (niah): rows depths, columns lengths.
  void Grid(std::size_t task) {
    for (const ReportVariant& variant : report_.variants) {
      const std::vector<GridCell>& grid = variant.cells[task].grid;
      if (grid.empty()) continue;
      std::set<std::int64_t> lengths;
      std::map<double, std::map<std::int64_t, std::string>> depths;
      for (const GridCell& cell : grid) {
        lengths.insert(cell.length);
        depths[cell.depth][cell.length] = Percent(cell.estimate);
      }
      std::string head = "| depth |", rule = "|--:|";
      for (const std::int64_t length : lengths) {
        head += fmt::format(" {} |", Grouped(length));
        rule += "--:|";
      }
      Line("\n{}: needles found by depth and context length in tokens\n\n{}\n{}",
           EscapeMarkdown(variant.label()), head, rule);
      for (const auto& [depth, row] : depths) {
        std::string line = fmt::format("| {:g} % |", depth);
        for (const std::int64_t length : lengths)
          line += fmt::format(" {} |", row.contains(length) ? row.at(length) : "n/a");
        Line("{}", line);
      }
    }
  }

  void Table(const char* what, const std::vector<EstimateRow>& rows) {
    if (rows.empty()) return;
    std::string head = fmt::format("\n| {} |", what), rule = "|---|";
    for (const ReportVariant& variant : report_.variants) {
      head += " " + EscapeMarkdown(variant.label()) + " |";
      rule += "--:|";
    }
    Line("{}\n{}", head, rule);
    for (const EstimateRow& one : rows) {
      std::string row = fmt::format("| {} |", EscapeMarkdown(one.name));
      for (const Estimate* estimate : one.by_variant)
        row += estimate == nullptr ? " n/a |" : fmt::format(" {} |", Percent(*estimate));
      Line("{}", row);
    }
  }

  void TaskSection(std::size_t place) {
    const ReportTask& task = report_.tasks[place];
    Line("\n## {}\n\n{}.{}", EscapeMarkdown(task.name), EscapeMarkdown(task.protocol),
         task.chance && *task.chance > 0 ? fmt::format(" Chance is {:.0f} %.", *task.chance * 100)
                                         : "");
    Table("metric", EstimateRows(report_, place, &Cell::metrics));
    Rows(LengthTable(report_, place));
    Grid(place);
    Table("group", GroupRows(report_, place));
    if (!report_.variants.empty() && report_.variants[0].cells[place].subsets.size() > 1)
      Table("subset", EstimateRows(report_, place, &Cell::subsets));
  }

  void Methods() {
    Line("\n## Methods and reproducibility\n");
    for (const auto& [label, value] : report_.methods)
      Line("- {}: {}", EscapeMarkdown(label), EscapeMarkdown(value));
    for (const auto& [label, value] : report_.environment)
      Line("- {}: {}", EscapeMarkdown(label), EscapeMarkdown(InWords(value)));
    for (const std::string& sentence : ScopeOfDeterminism()) Line("- {}", EscapeMarkdown(sentence));
    Line("\n---\n\nresults digest `{}`", report_.results_digest);
    if (!report_.database_digest.empty()) Line("\ndatabase digest `{}`", report_.database_digest);
  }

  const Report& report_;
  std::string out_;
};

}  // namespace

std::string RenderMarkdown(const Report& report) { return Markdown(report).Render(); }

}  // namespace h1bench::reports

#include <algorithm>
#include <set>

#include "reports/render/html_parts.h"

namespace h1bench::reports {
namespace {

/// Green for right, through yellow, to red: readable with dark text in both colour schemes.
std::string Heat(double share) { return fmt::format("hsl({:.0f},65%,72%)", share * 120); }

class TaskSection {
 public:
  TaskSection(const Report& report, std::size_t task)
      : report_(report), place_(task), task_(report.tasks[task]) {}

  std::string Render() {
    out_.Put("<section><h2 id=\"task-{}\">{}</h2>\n<p class=\"soft\">{}.{}</p>", place_,
             EscapeHtml(task_.name), EscapeHtml(task_.protocol),
             task_.chance && *task_.chance > 0
                 ? fmt::format(" Chance is {:.0f} %.", *task_.chance * 100)
                 : "");
    if (!task_.warnings.empty()) {
      out_.Put("<ul class=\"warn\">");
      for (const std::string& warning : task_.warnings)
        out_.Put("<li>{}</li>", EscapeHtml(warning));
      out_.Put("</ul>");
    }
    Table("metric", EstimateRows(report_, place_, &Cell::metrics));
    Lengths();
    Table("group", GroupRows(report_, place_));
    Subsets();
    Verdicts();
    out_.Put("</section>");
    return out_.Take();
  }

 private:
  void Table(const char* what, const std::vector<EstimateRow>& rows) {
    if (rows.empty()) return;
    out_.OpenTable(fmt::format("{} by {}", EscapeHtml(task_.name), what));
    out_.Put("<thead><tr><th scope=\"col\">{}</th>", what);
    for (const ReportVariant& variant : report_.variants)
      out_.Put("<th scope=\"col\">{}</th>", EscapeHtml(variant.label()));
    out_.Put("</tr></thead><tbody>");
    for (const EstimateRow& row : rows) {
      out_.Put("<tr><th scope=\"row\">{}</th>", EscapeHtml(row.name));
      for (const Estimate* estimate : row.by_variant) {
        if (estimate == nullptr) {
          out_.Put("<td>n/a</td>");
        } else {
          out_.Put(
              "<td><span class=\"barbox\"><span class=\"bar\" "
              "style=\"width:{:.0f}%\"></span></span>{}</td>",
              std::clamp(estimate->mean, 0.0, 1.0) * 100, Percent(*estimate));
        }
      }
      out_.Put("</tr>");
    }
    out_.CloseTable();
  }

  void Lengths() {
    const auto rows = LengthTable(report_, place_);
    if (rows.empty()) return;
    out_.Put("<h3>By context length</h3>");
    out_.Table(EscapeHtml(task_.name) + " by context length", rows);
  }

  void Subsets() {
    if (task_.describe.Find("grid") != nullptr) {
      out_.Put("<div class=\"heats\">");
      for (const ReportVariant& variant : report_.variants) HeatMap(variant);
      out_.Put("</div>");
      return;
    }
    const bool several =
        std::any_of(report_.variants.begin(), report_.variants.end(),
                    [&](const ReportVariant& one) { return one.cells[place_].subsets.size() > 1; });
    if (!several) return;
    out_.Put("<h3>By subset</h3>");
    Table("subset", EstimateRows(report_, place_, &Cell::subsets));
  }

  void HeatMap(const ReportVariant& variant) {
    const auto& grid = variant.cells[place_].grid;
    if (grid.empty()) return;
    std::set<std::int64_t> lengths;
    std::set<double> depths;
    for (const GridCell& cell : grid) {
      lengths.insert(cell.length);
      depths.insert(cell.depth);
    }
    const std::string what =
        EscapeHtml(variant.label()) + ": depth of the needle by context length";
    out_.Put("<div><h3>{}</h3>", what);
    out_.OpenTable(what, " class=\"heat\"");
    out_.Put("<thead><tr><th scope=\"col\">depth</th>");
    for (const std::int64_t length : lengths)
      out_.Put("<th scope=\"col\">{} tokens</th>", Grouped(length));
    out_.Put("</tr></thead><tbody>");
    for (const double depth : depths) {
      out_.Put("<tr><th scope=\"row\">{} %</th>", depth);
      for (const std::int64_t length : lengths) {
        const auto found = std::find_if(grid.begin(), grid.end(), [&](const GridCell& cell) {
          return cell.length == length && cell.depth == depth;
        });
        if (found == grid.end()) {
          out_.Put("<td>n/a</td>");
        } else {
          out_.Put("<td style=\"background:{}\" title=\"{} samples\">{:.0f}</td>",
                   Heat(found->estimate.mean), found->estimate.n, found->estimate.mean * 100);
        }
      }
      out_.Put("</tr>");
    }
    out_.CloseTable();
    out_.Put("</div>");
  }

  void Verdicts() {
    for (const ReportVariant& variant : report_.variants) {
      const Cell& cell = variant.cells[place_];
      if (cell.verdicts.empty()) continue;
      std::vector<std::string> counts;
      for (const auto& [verdict, count] : cell.verdicts)
        counts.push_back(fmt::format("{} {}", verdict, count));
      out_.Put("<p class=\"soft\">{}: {}</p>", EscapeHtml(variant.label()),
               EscapeHtml(fmt::format("{}", fmt::join(counts, ", "))));
    }
  }

  const Report& report_;
  std::size_t place_;
  const ReportTask& task_;
  HtmlOut out_;
};

}  // namespace

std::string HtmlTask(const Report& report, std::size_t task) {
  return TaskSection(report, task).Render();
}

}  // namespace h1bench::reports

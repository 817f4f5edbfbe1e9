#pragma once

#include <iterator>
#include <string>
#include <utility>

#include "base/json.h"
#include "reports/render/render.h"

/// The parts of the HTML page, each a section's markup. html.cc puts them together.
namespace h1bench::reports {

/// Appends lines of markup.
class HtmlOut {
 public:
  template <typename... Args>
  void Put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    text_ += '\n';
  }
  /// A table that scrolls inside its own box; `label` is what a screen reader calls the box,
  /// escaped.
  void OpenTable(const std::string& label, const char* kind = "") {
    Put("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table{}>", label,
        kind);
  }
  void CloseTable() { Put("</tbody></table></div>"); }
  /// Plain cells under a head, in such a table.
  void Table(const std::string& label, const std::vector<std::vector<std::string>>& rows) {
    OpenTable(label);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      Put("{}<tr>", i == 0 ? "<thead>" : "");
      for (const std::string& text : rows[i])
        Put("<{0}>{1}</{0}>", i == 0 ? "th" : "td", EscapeHtml(text));
      Put("</tr>{}", i == 0 ? "</thead><tbody>" : "");
    }
    CloseTable();
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string HtmlLeaderboard(const Report& report);
std::string HtmlCharts(const Report& report);
/// Protocol, warnings, metrics, lengths, groups, subsets or heat maps of one task.
std::string HtmlTask(const Report& report, std::size_t task);
/// The viewer's controls, and some samples for readers without scripts.
std::string HtmlSamples(const Report& report);
/// What the page's script reads: points of the charts, samples with their prompts.
Json PageData(const Report& report);

}  // namespace h1bench::reports

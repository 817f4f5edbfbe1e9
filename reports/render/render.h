#pragma once

#include <string>

#include "reports/report.h"

/// Pure functions from a report to text. Equal reports give equal bytes. Text that models or
/// datasets wrote is escaped for the format it goes into.
namespace h1bench::reports {

/// GitHub-flavoured Markdown.
std::string RenderMarkdown(const Report& report);
/// {"version": 1, ...} with every number at full precision; docs/report-json.md names the members.
std::string RenderJson(const Report& report);
/// One self-contained HTML page: no network, readable without scripts.
std::string RenderHtml(const Report& report);
/// The leaderboard as a plain table of at most 100 columns; where it needs more, in parts below
/// each other. A model with a longer name than that needs more.
std::string RenderTerminal(const Report& report, bool colour);

// --- shared by the renderers ---

/// The table of scores by context length of a task, first row its head; empty when no model has
/// one. Cells are plain text, model labels as they are.
std::vector<std::vector<std::string>> LengthTable(const Report& report, std::size_t task);
/// The table of times to and between tokens and of time and energy by phase, first row its head;
/// empty without timing or when nothing was measured. Cells are plain text.
std::vector<std::vector<std::string>> SpeedTable(const Report& report);
/// What the columns of SpeedTable mean.
const char* SpeedNote();
/// A name's estimate in every variant, null where one has none.
struct EstimateRow {
  std::string name;
  std::vector<const Estimate*> by_variant;
};
/// One of a cell's lists (metrics, subsets, groups) for all variants, names in order of first
/// appearance. Points into the report.
std::vector<EstimateRow> EstimateRows(const Report& report, std::size_t task,
                                      std::vector<NamedEstimate> Cell::*list);
/// The groups of a task that has some, and the mean of its subsets beside them.
std::vector<EstimateRow> GroupRows(const Report& report, std::size_t task);
/// "MODEL on TASK: why there is no score", one for each cell without one.
std::vector<std::string> NotAvailableNotes(const Report& report);
/// Is this score the best of its column, or does its interval reach that of the best? A column of
/// zeros has no best.
bool Leads(const Report& report, const ReportVariant& variant, std::size_t task);
/// The same of the averages.
bool LeadsOnAverage(const Report& report, const ReportVariant& variant);
/// Is the energy of any variant known?
bool KnowsEnergy(const Report& report);
/// "55.1 ± 0.8" in percent, or "n/a".
std::string Percent(const Estimate& estimate);
/// "1.04 GB" (powers of ten).
std::string Bytes(std::int64_t bytes);
/// "1.2 s", "3 min 20 s", "2 h 5 min".
std::string Duration(double seconds);
/// 1234567 -> "1,234,567".
std::string Grouped(std::int64_t number);
/// {"cpu": "x", "cores": 2, "dirty": false} -> "cpu x, cores 2, dirty no"; inner objects and arrays
/// in parentheses.
std::string InWords(const Json& json);
std::string EscapeMarkdown(const std::string& text);
std::string EscapeHtml(const std::string& text);

}  // namespace h1bench::reports

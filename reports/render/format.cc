#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "reports/render/render.h"

namespace h1bench::reports {

std::vector<std::vector<std::string>> LengthTable(const Report& report, std::size_t task) {
  std::vector<std::vector<std::string>> rows;
  const auto percent = [](const std::optional<double>& share) {
    return share ? fmt::format("{:.1f}", *share * 100) : std::string("n/a");
  };
  for (const ReportVariant& variant : report.variants) {
    const ByLength& scores = variant.cells[task].by_length;
    if (scores.empty()) continue;
    const bool categories = !scores.categories.empty();
    if (rows.empty()) {
      rows.push_back({"model"});
      if (categories) rows[0].emplace_back("category");
      for (const LengthScore& one : scores.lengths)
        rows[0].push_back(one.length % 1024 == 0 ? fmt::format("{}K", one.length / 1024)
                                                 : std::to_string(one.length));
      if (scores.threshold)
        rows[0].insert(rows[0].end(),
                       {fmt::format("effective (>= {:.1f})", *scores.threshold * 100), "wAvg(inc)",
                        "wAvg(dec)"});
    }
    const auto row = [&](const std::vector<LengthScore>& lengths, const std::string& category) {
      rows.push_back({variant.label()});
      if (categories) rows.back().push_back(category);
      for (const LengthScore& one : lengths)
        rows.back().push_back(one.score ? Percent(*one.score) : "n/a");
    };
    for (const CategoryScores& category : scores.categories) row(category.lengths, category.name);
    row(scores.lengths, "mean");
    if (!scores.threshold) continue;
    rows.back().push_back(scores.effective ? std::to_string(*scores.effective) : "none");
    rows.back().insert(rows.back().end(), {percent(scores.increasing), percent(scores.decreasing)});
  }
  return rows;
}

namespace {

/// "12.3 ms" or "1.2 s": three figures.
std::string ShortTime(double seconds) {
  if (seconds >= 60) return Duration(seconds);
  return seconds >= 1 ? fmt::format("{:.3g} s", seconds) : fmt::format("{:.3g} ms", seconds * 1e3);
}

std::string Times(const Percentiles& times) {
  if (times.n == 0) return "n/a";
  return fmt::format("{} / {} / {}", ShortTime(times.p50), ShortTime(times.p95),
                     ShortTime(times.p99));
}

std::string PhaseText(const Speed& speed, const char* name) {
  for (const PhaseCost& phase : speed.phases) {
    if (phase.name != name) continue;
    return Duration(phase.seconds) +
           (phase.joules ? fmt::format(", {:.0f} J", *phase.joules) : std::string());
  }
  return "n/a";
}

}  // namespace

std::vector<std::vector<std::string>> SpeedTable(const Report& report) {
  std::vector<std::vector<std::string>> rows;
  for (const std::size_t place : report.ranking) {
    const ReportVariant& variant = report.variants[place];
    const Speed& speed = variant.speed;
    if (!report.timing || speed.empty()) continue;
    if (rows.empty())
      rows.push_back(
          {"model", "to the first token", "between tokens", "prefill", "decode", "both"});
    rows.push_back({variant.label(), Times(speed.ttft), Times(speed.inter_token),
                    PhaseText(speed, "prefill"), PhaseText(speed, "decode"),
                    PhaseText(speed, "mixed")});
  }
  return rows;
}

const char* SpeedNote() {
  return "To the first token: from a worker's having the request, waiting for others of its shard "
         "included. Times are the 50th / 95th / 99th percentile over this run's own generations. "
         "Prefill, decode, both: time in forward passes that compute prompts, next tokens, or both "
         "at once, of all workers, and the energy of the whole card meanwhile.";
}

std::vector<EstimateRow> EstimateRows(const Report& report, std::size_t task,
                                      std::vector<NamedEstimate> Cell::*list) {
  std::vector<EstimateRow> rows;
  for (std::size_t v = 0; v < report.variants.size(); ++v) {
    for (const NamedEstimate& one : report.variants[v].cells[task].*list) {
      auto row = std::find_if(rows.begin(), rows.end(),
                              [&](const EstimateRow& known) { return known.name == one.name; });
      if (row == rows.end()) {
        rows.push_back({one.name, std::vector<const Estimate*>(report.variants.size())});
        row = std::prev(rows.end());
      }
      row->by_variant[v] = &one.estimate;
    }
  }
  return rows;
}

std::vector<EstimateRow> GroupRows(const Report& report, std::size_t task) {
  std::vector<EstimateRow> rows = EstimateRows(report, task, &Cell::groups);
  if (rows.empty()) return rows;
  EstimateRow macro{"mean of subsets (macro)", {}};
  bool known = false;
  for (const ReportVariant& variant : report.variants) {
    const auto& mean = variant.cells[task].macro;
    macro.by_variant.push_back(mean ? &*mean : nullptr);
    known = known || mean;
  }
  if (known) rows.push_back(std::move(macro));
  return rows;
}

std::vector<std::string> NotAvailableNotes(const Report& report) {
  std::vector<std::string> notes;
  for (const ReportVariant& variant : report.variants) {
    for (std::size_t task = 0; task < variant.cells.size(); ++task) {
      if (!variant.cells[task].missing_reason.empty())
        notes.push_back(fmt::format("{} on {}: {}", variant.label(), report.tasks[task].name,
                                    variant.cells[task].missing_reason));
    }
  }
  return notes;
}

bool Leads(const Report& report, const ReportVariant& variant, std::size_t task) {
  const Estimate* best = nullptr;
  for (const ReportVariant& one : report.variants) {
    const Cell& cell = one.cells[task];
    if (cell.scored > 0 && cell.primary.mean > (best == nullptr ? 0 : best->mean))
      best = &cell.primary;
  }
  const Cell& cell = variant.cells[task];
  return best != nullptr && cell.scored > 0 && cell.primary.interval.high >= best->interval.low;
}

bool LeadsOnAverage(const Report& report, const ReportVariant& variant) {
  const auto& best = report.variants[report.ranking[0]].average;
  return variant.average && best && best->mean > 0 &&
         variant.average->interval.high >= best->interval.low;
}

bool KnowsEnergy(const Report& report) {
  return report.timing &&
         std::any_of(report.variants.begin(), report.variants.end(),
                     [](const ReportVariant& one) { return one.joules_per_answer.has_value(); });
}

std::string Percent(const Estimate& estimate) {
  if (estimate.n == 0) return "n/a";
  return fmt::format("{:.1f} ± {:.1f}", estimate.mean * 100, estimate.reach() * 100);
}

std::string Bytes(std::int64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (value >= 1e9) return fmt::format("{:.2f} GB", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.1f} MB", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.1f} kB", value / 1e3);
  return fmt::format("{} B", bytes);
}

std::string Duration(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string Grouped(std::int64_t number) {
  std::string digits = std::to_string(number < 0 ? -number : number);
  for (std::size_t place = digits.size(); place > 3;) digits.insert(place -= 3, 1, ',');
  if (number < 0) digits.insert(digits.begin(), '-');
  return digits;
}

std::string InWords(const Json& json) {
  if (json.is_string()) return json.as_string();
  if (json.is_bool()) return json.as_bool() ? "yes" : "no";
  std::vector<std::string> parts;
  const auto inner = [](const Json& value) {
    return value.is_object() || value.is_array() ? "(" + InWords(value) + ")" : InWords(value);
  };
  if (json.is_array()) {
    for (const Json& one : json.as_array()) parts.push_back(inner(one));
  } else if (json.is_object()) {
    for (const auto& [name, value] : json.as_object())
      parts.push_back(ReplaceAll(name, "_", " ") + " " + inner(value));
  } else {
    return WriteJson(json);
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string EscapeMarkdown(const std::string& text) {
  std::string out;
  for (const char c : VisibleText(ReplaceInvalidUtf8(text))) {
    switch (c) {
      case '\n':
        out += ' ';
        break;
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\\':
      case '`':
      case '*':
      case '_':
      case '{':
      case '}':
      case '[':
      case ']':
      case '(':
      case ')':
      case '#':
      case '!':
      case '|':
      case '~':
      case '$':
      case '@':
        out += '\\';
        out += c;
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string EscapeHtml(const std::string& text) {
  std::string out;
  for (const char c : VisibleText(ReplaceInvalidUtf8(text))) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace h1bench::reports

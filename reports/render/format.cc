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
    if (rows.empty()) {
      rows.push_back({"model"});
      for (const LengthScore& one : scores.lengths)
        rows[0].push_back(one.length % 1024 == 0 ? fmt::format("{}K", one.length / 1024)
                                                 : std::to_string(one.length));
      rows[0].insert(rows[0].end(), {fmt::format("effective (>= {:.1f})", scores.threshold * 100),
                                     "wAvg(inc)", "wAvg(dec)"});
    }
    std::vector<std::string> row = {variant.label()};
    for (const LengthScore& one : scores.lengths)
      row.push_back(one.score ? Percent(*one.score) : "n/a");
    row.push_back(scores.effective ? std::to_string(*scores.effective) : "none");
    row.insert(row.end(), {percent(scores.increasing), percent(scores.decreasing)});
    rows.push_back(std::move(row));
  }
  return rows;
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

#include <algorithm>

#include "reports/render/html_parts.h"

namespace h1bench::reports {
namespace {

class Leaderboard {
 public:
  explicit Leaderboard(const Report& report) : report_(report) {}

  std::string Render() {
    out_.Put("<h2 id=\"leaderboard\">Leaderboard</h2>");
    Head();
    for (const std::size_t place : report_.ranking) Row(report_.variants[place]);
    out_.CloseTable();
    Legend();
    Footnotes();
    return out_.Take();
  }

 private:
  void Head() {
    out_.OpenTable("leaderboard", " class=\"sortable\"");
    out_.Put(
        "<thead><tr><th scope=\"col\">model</th><th scope=\"col\" class=\"left\">precision</th><th "
        "scope=\"col\">average</th>");
    for (std::size_t task = 0; task < report_.tasks.size(); ++task) {
      out_.Put("<th scope=\"col\" title=\"{}\">{}</th>", EscapeHtml(report_.tasks[task].protocol),
               EscapeHtml(report_.tasks[task].name));
    }
    out_.Put("<th scope=\"col\">weights</th>");
    if (report_.timing)
      out_.Put(
          "<th scope=\"col\">tokens/s</th><th scope=\"col\">time</th><th scope=\"col\">peak "
          "memory</th>");
    energy_ = KnowsEnergy(report_);
    if (energy_) out_.Put("<th scope=\"col\">J/answer</th><th scope=\"col\">J/right answer</th>");
    out_.Put("</tr></thead>\n<tbody>");
  }

  /// "n/a" that says why on hover; sorts below every number.
  void NotAvailable(const std::string& reason) {
    out_.Put("<td data-value=\"-1\" title=\"{}\">n/a</td>", EscapeHtml(reason));
  }

  void Row(const ReportVariant& variant) {
    out_.Put("<tr><th scope=\"row\">{}</th><td class=\"left\">{}</td>", EscapeHtml(variant.name),
             EscapeHtml(variant.precision));
    if (variant.average) {
      out_.Put("<td data-value=\"{}\"{}>{}</td>", variant.average->mean,
               LeadsOnAverage(report_, variant) ? " class=\"best\"" : "",
               Percent(*variant.average));
    } else {
      NotAvailable("it does not have a score on every task");
    }
    for (std::size_t task = 0; task < variant.cells.size(); ++task) {
      const Cell& cell = variant.cells[task];
      if (cell.scored == 0) {
        NotAvailable(cell.missing_reason);
        continue;
      }
      out_.Put("<td data-value=\"{}\"{}>{}</td>", cell.primary.mean,
               Leads(report_, variant, task) ? " class=\"best\"" : "", Percent(cell.primary));
    }
    out_.Put("<td data-value=\"{}\">{}</td>", variant.weight_bytes, Bytes(variant.weight_bytes));
    if (report_.timing) Cost(variant);
    out_.Put("</tr>");
  }

  void Cost(const ReportVariant& variant) {
    const std::string none = "no answer of this run was computed: all were looked up";
    if (variant.busy_seconds > 0) {
      out_.Put("<td data-value=\"{0}\">{0:.0f}</td><td data-value=\"{1}\">{2}</td>",
               variant.tokens_per_second, variant.busy_seconds, Duration(variant.busy_seconds));
    } else {
      NotAvailable(none);
      NotAvailable(none);
    }
    Memory(variant);
    if (!energy_) return;
    for (const auto& joules : {variant.joules_per_answer, variant.joules_per_right_answer}) {
      if (joules) {
        out_.Put("<td data-value=\"{0}\">{0:.3g}</td>", *joules);
      } else {
        NotAvailable("its energy was not measured");
      }
    }
  }

  void Memory(const ReportVariant& variant) {
    if (!variant.memory) return NotAvailable("no worker reported its memory");
    const auto& memory = *variant.memory;
    const std::int64_t rest = memory.workspace + memory.context;
    const double total = static_cast<double>(
        std::max<std::int64_t>(1, memory.weights + memory.kv + memory.state + rest));
    const std::string parts =
        fmt::format("weights {}, KV {}, SSM and conv state {}, workspace {}", Bytes(memory.weights),
                    Bytes(memory.kv), Bytes(memory.state), Bytes(rest));
    out_.Put(
        "<td data-value=\"{}\">{}<span class=\"memory\" role=\"img\" aria-label=\"{}\" "
        "title=\"{}\">",
        memory.peak_rss, Bytes(memory.peak_rss), parts, parts);
    const std::pair<const char*, std::int64_t> bars[] = {
        {"w", memory.weights}, {"k", memory.kv}, {"s", memory.state}, {"o", rest}};
    for (const auto& [name, bytes] : bars)
      out_.Put("<i class=\"{}\" style=\"width:{:.1f}%\"></i>", name,
               static_cast<double>(bytes) / total * 100);
    out_.Put("</span></td>");
  }

  void Legend() {
    out_.Put("<p class=\"soft\">Bold: the best of a column and all whose interval reaches its.");
    if (report_.timing) {
      out_.Put(
          "tokens/s: prompt and generated tokens over the engine's busy time. Peak memory: of the "
          "largest worker; the bar splits what the engine holds:<span class=\"legend\"><i "
          "class=\"w\"></i>weights<i class=\"k\"></i>KV<i class=\"s\"></i>SSM and conv state<i "
          "class=\"o\"></i>workspace</span>");
    }
    out_.Put("</p>");
  }

  void Footnotes() {
    for (const std::string& note : NotAvailableNotes(report_))
      out_.Put("<p class=\"soft\">n/a: {}</p>", EscapeHtml(note));
  }

  const Report& report_;
  HtmlOut out_;
  bool energy_ = false;
};

}  // namespace

std::string HtmlLeaderboard(const Report& report) { return Leaderboard(report).Render(); }

std::string HtmlCharts(const Report& report) {
  HtmlOut out;
  out.Put("<h2 id=\"charts\">Quality against cost</h2>\n<div class=\"charts\">");
  const auto chart = [&](const char* id, const char* what) {
    out.Put(
        "<div class=\"chart\"><canvas id=\"{}\" role=\"img\" aria-label=\"average score against "
        "{}; the numbers are in the leaderboard\"></canvas></div>",
        id, what);
  };
  if (report.timing) chart("chart-speed", "tokens per second");
  chart("chart-memory", report.timing ? "peak memory" : "bytes of weights");
  out.Put(
      "</div>\n<p class=\"soft\">The line is the frontier: no other model is both better and "
      "cheaper. The numbers of the charts are in the leaderboard.</p>");
  return out.Take();
}

}  // namespace h1bench::reports

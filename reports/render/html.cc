#include <algorithm>
#include <array>

#include "base/sha256.h"
#include "base/text.h"
#include "reports/render/assets.h"
#include "reports/render/render.h"

namespace h1bench::reports {
namespace {

std::string Base64(const std::array<std::uint8_t, 32>& bytes) {
  constexpr const char* kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? bytes[i + k] : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      out += i + k > bytes.size() ? '=' : kDigits[group >> (18 - 6 * k) & 63U];
  }
  return out;
}

/// For the Content-Security-Policy: only these two scripts run, whatever text a model wrote.
std::string ScriptHash(const char* script) {
  return "'sha256-" + Base64(Sha256().Update(script).Finish()) + "'";
}

/// JSON inside a script element: `<` and the line separators cannot end it or the string.
std::string EmbedJson(const Json& json) {
  std::string out;
  const std::string text = WriteJson(json);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '<') {
      out += "\\u003c";
    } else if (text.compare(i, 3, "\u2028") == 0 || text.compare(i, 3, "\u2029") == 0) {
      out += text[i + 2] == '\xa8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// Foreign text for the sample viewer: UTF-8, control characters and bidi overrides visible.
std::string Visible(const std::string& text) { return VisibleText(ReplaceInvalidUtf8(text)); }

class Page {
 public:
  explicit Page(const Report& report) : report_(report) {}

  std::string Render() {
    Head();
    Leaderboard();
    Charts();
    Warnings();
    for (std::size_t task = 0; task < report_.tasks.size(); ++task) TaskSection(task);
    Samples();
    Methods();
    Foot();
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void Put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }

  void Head() {
    Put("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">");
    Put("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    Put("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'; script-src {} {}\">",
        ScriptHash(kChartScript), ScriptHash(kPageScript));
    Put("<title>{} - h1bench</title>\n<style>\n{}</style>\n</head>\n<body>",
        EscapeHtml(report_.title), kPageStyle);
    Put("<header>\n<h1>{}</h1>\n<p class=\"answer\">{}</p>", EscapeHtml(report_.title),
        EscapeHtml(report_.answer));
    if (!report_.description.empty()) Put("<p>{}</p>", EscapeHtml(report_.description));
    Put("<p class=\"soft\">{} models and precisions, {} tasks, {} samples. Scores in percent with "
        "95 % intervals.</p>\n</header>\n<main>",
        report_.variants.size(), report_.tasks.size(), Grouped(report_.samples_total));
  }

  /// Is this estimate the best of its column or level with it?
  static bool Leads(const Estimate& one, double best_low) {
    return one.n > 0 && one.interval.high >= best_low;
  }

  double BestLow(std::size_t task) const {
    double mean = 0, low = 2;  // a column of zeros has no best
    for (const ReportVariant& variant : report_.variants) {
      const Estimate& one = variant.cells[task].primary;
      if (variant.cells[task].scored > 0 && one.mean > mean) {
        mean = one.mean;
        low = one.interval.low;
      }
    }
    return low;
  }

  void MemoryCell(const ReportVariant& variant) {
    if (!variant.memory) {
      Put("<td>n/a</td>");
      return;
    }
    const auto& memory = *variant.memory;
    const double total = static_cast<double>(std::max<std::int64_t>(
        1, memory.weights + memory.kv + memory.state + memory.workspace + memory.context));
    const auto share = [&](std::int64_t bytes) { return static_cast<double>(bytes) / total * 100; };
    Put("<td data-value=\"{}\">{}<span class=\"memory\" title=\"weights {}, KV {}, SSM and conv "
        "state {}, workspace {}\">"
        "<i class=\"w\" style=\"width:{:.1f}%\"></i><i class=\"k\" style=\"width:{:.1f}%\"></i><i "
        "class=\"s\" style=\"width:{:.1f}%\"></i>"
        "<i class=\"o\" style=\"width:{:.1f}%\"></i></span></td>",
        memory.peak_rss, Bytes(memory.peak_rss), Bytes(memory.weights), Bytes(memory.kv),
        Bytes(memory.state), Bytes(memory.workspace + memory.context), share(memory.weights),
        share(memory.kv), share(memory.state), share(memory.workspace + memory.context));
  }

  void Leaderboard() {
    Put("<h2 id=\"leaderboard\">Leaderboard</h2>\n<div class=\"scroll\" tabindex=\"0\"><table "
        "class=\"sortable\">\n<thead><tr><th>model</th><th>precision</th><th>average</th>");
    for (const ReportTask& task : report_.tasks) Put("<th>{}</th>", EscapeHtml(task.name));
    Put("<th>weights</th>{}</tr></thead>\n<tbody>",
        report_.timing ? "<th>tokens/s</th><th>time</th><th>peak memory</th>" : "");
    std::vector<double> best;
    for (std::size_t task = 0; task < report_.tasks.size(); ++task) best.push_back(BestLow(task));
    for (const std::size_t place : report_.ranking) {
      const ReportVariant& variant = report_.variants[place];
      Put("<tr><td>{}</td><td class=\"left\">{}</td>", EscapeHtml(variant.name),
          EscapeHtml(variant.precision));
      if (variant.average) {
        Put("<td data-value=\"{}\">{}</td>", variant.average->mean, Percent(*variant.average));
      } else {
        Put("<td data-value=\"-1\">n/a</td>");
      }
      for (std::size_t task = 0; task < variant.cells.size(); ++task) {
        const Cell& cell = variant.cells[task];
        if (cell.scored == 0) {
          Put("<td data-value=\"-1\" title=\"{}\">n/a</td>", EscapeHtml(cell.missing_reason));
        } else {
          Put("<td data-value=\"{}\"{}>{}</td>", cell.primary.mean,
              Leads(cell.primary, best[task]) ? " class=\"best\"" : "", Percent(cell.primary));
        }
      }
      Put("<td data-value=\"{}\">{}</td>", variant.weight_bytes, Bytes(variant.weight_bytes));
      if (report_.timing) {
        if (variant.busy_seconds > 0) {
          Put("<td data-value=\"{0}\">{0:.0f}</td><td data-value=\"{1}\">{2}</td>",
              variant.tokens_per_second, variant.busy_seconds, Duration(variant.busy_seconds));
        } else {
          Put("<td data-value=\"-1\">n/a</td><td data-value=\"-1\">n/a</td>");
        }
        MemoryCell(variant);
      }
      Put("</tr>");
    }
    Put("</tbody></table></div>\n<p class=\"soft\">Bold: the best of a column and what its "
        "interval reaches.");
    if (report_.timing) {
      Put("tokens/s: prompt and generated tokens over the engine's busy time.<span "
          "class=\"legend\"><i class=\"w\"></i>weights<i class=\"k\"></i>KV"
          "<i class=\"s\"></i>SSM and conv state<i class=\"o\"></i>workspace</span>");
    }
    Put("</p>");
    for (const ReportVariant& variant : report_.variants) {
      for (std::size_t task = 0; task < variant.cells.size(); ++task) {
        if (variant.cells[task].missing_reason.empty()) continue;
        Put("<p class=\"soft\">n/a: {} on {}: {}</p>", EscapeHtml(variant.label()),
            EscapeHtml(report_.tasks[task].name), EscapeHtml(variant.cells[task].missing_reason));
      }
    }
  }

  void Charts() {
    Put("<h2>Quality against cost</h2>\n<div class=\"charts\">");
    if (report_.timing)
      Put("<div class=\"chart\"><canvas id=\"chart-speed\" role=\"img\" aria-label=\"average score "
          "against tokens per second; the numbers are in the leaderboard\"></canvas></div>");
    Put("<div class=\"chart\"><canvas id=\"chart-memory\" role=\"img\" aria-label=\"average score "
        "against memory; the numbers are in the leaderboard\"></canvas></div>\n</div>");
    Put("<p class=\"soft\">The numbers of the charts are in the leaderboard.</p>");
  }

  void Warnings() {
    if (report_.warnings.empty()) return;
    Put("<h2>Worth a look</h2>\n<ul class=\"warn\">");
    for (const std::string& warning : report_.warnings) Put("<li>{}</li>", EscapeHtml(warning));
    Put("</ul>");
  }

  void Table(const char* what, std::size_t task, std::vector<NamedEstimate> Cell::*list) {
    std::vector<std::string> names;
    for (const ReportVariant& variant : report_.variants) {
      for (const NamedEstimate& one : variant.cells[task].*list) {
        if (std::find(names.begin(), names.end(), one.name) == names.end())
          names.push_back(one.name);
      }
    }
    if (names.empty()) return;
    Put("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th>{}</th>", what);
    for (const ReportVariant& variant : report_.variants)
      Put("<th>{}</th>", EscapeHtml(variant.label()));
    Put("</tr></thead><tbody>");
    for (const std::string& name : names) {
      Put("<tr><td>{}</td>", EscapeHtml(name));
      for (const ReportVariant& variant : report_.variants) {
        const auto& estimates = variant.cells[task].*list;
        const auto found = std::find_if(estimates.begin(), estimates.end(),
                                        [&](const NamedEstimate& one) { return one.name == name; });
        if (found == estimates.end()) {
          Put("<td>n/a</td>");
        } else {
          Put("<td><span class=\"barbox\"><span class=\"bar\" "
              "style=\"width:{:.0f}%\"></span></span>{}</td>",
              found->estimate.mean * 100, Percent(found->estimate));
        }
      }
      Put("</tr>");
    }
    Put("</tbody></table></div>");
  }

  /// Green for right, through yellow, to red: readable with dark text in both colour schemes.
  static std::string Heat(double share) { return fmt::format("hsl({:.0f},65%,72%)", share * 120); }

  void HeatMap(const ReportVariant& variant, std::size_t task) {
    const auto& grid = variant.cells[task].grid;
    if (grid.empty()) return;
    std::vector<std::int64_t> lengths;
    std::vector<double> depths;
    for (const GridCell& cell : grid) {
      if (std::find(lengths.begin(), lengths.end(), cell.length) == lengths.end())
        lengths.push_back(cell.length);
      if (std::find(depths.begin(), depths.end(), cell.depth) == depths.end())
        depths.push_back(cell.depth);
    }
    std::sort(depths.begin(), depths.end());
    Put("<h3>{}: depth of the needle by context length</h3>\n<div class=\"scroll\" "
        "tabindex=\"0\"><table class=\"heat\"><thead><tr><th>depth</th>",
        EscapeHtml(variant.label()));
    for (const std::int64_t length : lengths) Put("<th>{} tokens</th>", length);
    Put("</tr></thead><tbody>");
    for (const double depth : depths) {
      Put("<tr><td>{} %</td>", depth);
      for (const std::int64_t length : lengths) {
        const auto found = std::find_if(grid.begin(), grid.end(), [&](const GridCell& cell) {
          return cell.length == length && cell.depth == depth;
        });
        if (found == grid.end()) {
          Put("<td>n/a</td>");
        } else {
          Put("<td style=\"background:{}\" title=\"{} samples\">{:.0f}</td>",
              Heat(found->estimate.mean), found->estimate.n, found->estimate.mean * 100);
        }
      }
      Put("</tr>");
    }
    Put("</tbody></table></div>");
  }

  void Lengths(std::size_t task) {
    const auto rows = LengthTable(report_, task);
    if (rows.empty()) return;
    Put("<h3>By context length</h3>\n<div class=\"scroll\" tabindex=\"0\"><table>");
    for (std::size_t i = 0; i < rows.size(); ++i) {
      Put("{}<tr>", i == 0 ? "<thead>" : "");
      for (const std::string& text : rows[i])
        Put("<{0}>{1}</{0}>", i == 0 ? "th" : "td", EscapeHtml(text));
      Put("</tr>{}", i == 0 ? "</thead><tbody>" : "");
    }
    Put("</tbody></table></div>");
  }

  void TaskSection(std::size_t place) {
    const ReportTask& task = report_.tasks[place];
    Put("<h2 id=\"task-{}\">{}</h2>\n<p class=\"soft\">{}.{}</p>", place, EscapeHtml(task.name),
        EscapeHtml(task.protocol),
        task.chance && *task.chance > 0 ? fmt::format(" Chance is {:.0f} %.", *task.chance * 100)
                                        : "");
    Table("metric", place, &Cell::metrics);
    Lengths(place);
    Table("group", place, &Cell::groups);
    if (task.describe.Find("grid") != nullptr) {
      for (const ReportVariant& variant : report_.variants) HeatMap(variant, place);
    } else if (!report_.variants.empty() && report_.variants[0].cells[place].subsets.size() > 1) {
      Put("<h3>By subset</h3>");
      Table("subset", place, &Cell::subsets);
    }
    for (const ReportVariant& variant : report_.variants) {
      const Cell& cell = variant.cells[place];
      if (cell.verdicts.empty()) continue;
      std::vector<std::string> counts;
      for (const auto& [verdict, count] : cell.verdicts)
        counts.push_back(fmt::format("{} {}", verdict, count));
      Put("<p class=\"soft\">{}: {}</p>", EscapeHtml(variant.label()),
          EscapeHtml(fmt::format("{}", fmt::join(counts, ", "))));
    }
  }

  Json Data() const {
    Json data, tasks{Json::Array{}}, variants{Json::Array{}}, speed{Json::Array{}},
        memory{Json::Array{}}, samples{Json::Array{}};
    for (const ReportTask& task : report_.tasks) tasks.Push(Visible(task.name));
    for (const ReportVariant& variant : report_.variants) {
      variants.Push(Visible(variant.label()));
      if (!variant.average) continue;
      Json point;
      point.Set("name", Visible(variant.label())).Set("y", variant.average->mean * 100);
      if (report_.timing && variant.busy_seconds > 0)
        speed.Push(Json(point).Set("x", variant.tokens_per_second));
      const std::int64_t bytes = variant.memory ? variant.memory->peak_rss : variant.weight_bytes;
      memory.Push(point.Set("x", static_cast<double>(bytes) / 1e6));
    }
    for (const ReportSample& one : report_.samples) samples.Push(SampleJson(one));
    return data.Set("tasks", tasks)
        .Set("variants", variants)
        .Set("speed", speed)
        .Set("memory", memory)
        .Set("samples", samples);
  }

  Json SampleJson(const ReportSample& one) const {
    Json json, values{Json::Array{}};
    for (const double value : one.loglikelihoods) values.Push(value);
    json.Set("variant", static_cast<std::uint64_t>(one.variant))
        .Set("task", static_cast<std::uint64_t>(one.task))
        .Set("subset", Visible(one.subset));
    json.Set("id", Visible(one.document_id))
        .Set("index", one.index)
        .Set("score", one.score)
        .Set("prompt", Visible(one.prompt))
        .Set("prompt_cut", one.prompt_cut);
    json.Set("response", Visible(one.response))
        .Set("response_cut", one.response_cut)
        .Set("loglikelihoods", values)
        .Set("extracted", Visible(one.extracted));
    json.Set("gold", Visible(one.gold))
        .Set("verdict", Visible(one.verdict))
        .Set("detail", Visible(one.detail))
        .Set("prompt_tokens", one.prompt_tokens);
    json.Set("generated_tokens", one.generated_tokens)
        .Set("truncated_tokens", one.truncated_tokens);
    if (report_.timing) json.Set("seconds", one.seconds);
    return json;
  }

  void Samples() {
    Put("<h2 id=\"sample-viewer\">Samples</h2>\n<p class=\"soft\">{} of {} samples are in this "
        "page, wrong ones first where a task has more; "
        "<code>h1bench samples</code> prints all.</p>",
        Grouped(static_cast<std::int64_t>(report_.samples.size())), Grouped(report_.samples_total));
    Put("<noscript><p>The sample viewer and the charts need scripts; every number is in the "
        "tables.</p></noscript>");
    Put("<div class=\"filters\"><select id=\"by-task\" aria-label=\"task\"><option value=\"\">all "
        "tasks</option></select>"
        "<select id=\"by-variant\" aria-label=\"model\"><option value=\"\">all "
        "models</option></select>"
        "<select id=\"by-right\" aria-label=\"right or wrong\"><option value=\"\">right and "
        "wrong</option><option value=\"wrong\">wrong</option>"
        "<option value=\"right\">right</option><option value=\"differ\">models "
        "disagree</option></select>"
        "<select id=\"by-subset\" aria-label=\"subset\"><option value=\"\">all "
        "subsets</option></select></div>\n<div id=\"samples\"></div>");
    Put("<div class=\"filters\"><button id=\"more\" type=\"button\" hidden>more</button><span "
        "id=\"count\" class=\"soft\"></span></div>");
  }

  void Pairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
    Put("<dl>");
    for (const auto& [label, value] : pairs)
      Put("<dt>{}</dt><dd>{}</dd>", EscapeHtml(label), EscapeHtml(value));
    Put("</dl>");
  }

  void Methods() {
    Put("<h2 id=\"methods\">Methods and reproducibility</h2>");
    Pairs(report_.methods);
    if (!report_.environment.empty()) {
      Put("<h3>This execution</h3>");
      Pairs(report_.environment);
    }
    Put("<h3>What is promised about bits</h3>\n<ul>");
    for (const std::string& sentence : ScopeOfDeterminism())
      Put("<li>{}</li>", EscapeHtml(sentence));
    Put("</ul>\n<details><summary>Suite file</summary><pre>{}</pre></details>", EscapeSuite());
  }

  /// The suite keeps its line breaks.
  std::string EscapeSuite() const {
    std::string out, line;
    for (const char c : report_.suite_text + "\n") {
      if (c != '\n') {
        line += c;
        continue;
      }
      out += EscapeHtml(line) + "\n";
      line.clear();
    }
    return out;
  }

  void Foot() {
    Put("</main>\n<footer>\n<div>results digest {}</div>", report_.results_digest);
    if (!report_.database_digest.empty())
      Put("<div>database digest {}</div>", report_.database_digest);
    Put("<div>Made by h1bench from the database alone.</div>\n</footer>");
    Put("<script type=\"application/json\" id=\"data\">{}</script>", EmbedJson(Data()));
    out_ += std::string("<script>") + kChartScript + "</script>\n<script>" + kPageScript +
            "</script>\n</body>\n</html>\n";
  }

  const Report& report_;
  std::string out_;
};

}  // namespace

std::string RenderHtml(const Report& report) { return Page(report).Render(); }

}  // namespace h1bench::reports

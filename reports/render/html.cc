#include <array>

#include "base/sha256.h"
#include "reports/render/assets.h"
#include "reports/render/html_parts.h"

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

void Head(HtmlOut& out, const Report& report) {
  out.Put("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">");
  out.Put("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
  out.Put("<meta name=\"color-scheme\" content=\"light dark\">");
  out.Put(
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'; script-src {} {}\">",
      ScriptHash(kChartScript), ScriptHash(kPageScript));
  out.Put(
      "<title>{} - "
      "h1bench</title>\n<style>\n{}</style>\n<noscript><style>.charts,.filters{{display:"
      "none}}</style></noscript>\n</head>\n<body>",
      EscapeHtml(report.title), kPageStyle);
  out.Put("<header>\n<h1>{}</h1>\n<p class=\"answer\">{}</p>", EscapeHtml(report.title),
          EscapeHtml(report.answer));
  if (!report.description.empty()) out.Put("<p>{}</p>", EscapeHtml(report.description));
  out.Put(
      "<p class=\"soft\">{}{} models and precisions, {} tasks, {} samples. Scores in percent with "
      "95 % intervals.</p>",
      report.created.empty() ? "" : "Run " + report.run_name + " of " + report.created + ": ",
      report.variants.size(), report.tasks.size(), Grouped(report.samples_total));
}

/// Where to go on a long page.
void Navigation(HtmlOut& out, const Report& report) {
  out.Put("<nav aria-label=\"sections\"><a href=\"#leaderboard\">leaderboard</a>");
  out.Put("<a href=\"#charts\">charts</a>");
  for (std::size_t task = 0; task < report.tasks.size(); ++task)
    out.Put("<a href=\"#task-{}\">{}</a>", task, EscapeHtml(report.tasks[task].name));
  out.Put("<a href=\"#sample-viewer\">samples</a><a href=\"#methods\">methods</a></nav>");
  out.Put("</header>\n<main>");
}

void Warnings(HtmlOut& out, const Report& report) {
  if (report.warnings.empty()) return;
  out.Put("<h2>Worth a look</h2>\n<ul class=\"warn\">");
  for (const std::string& warning : report.warnings) out.Put("<li>{}</li>", EscapeHtml(warning));
  out.Put("</ul>");
}

template <typename Value>
void Pairs(HtmlOut& out, const std::vector<std::pair<std::string, Value>>& pairs) {
  out.Put("<dl>");
  for (const auto& [label, value] : pairs)
    out.Put("<dt>{}</dt><dd>{}</dd>", EscapeHtml(label), EscapeHtml(InWords(value)));
  out.Put("</dl>");
}

void Methods(HtmlOut& out, const Report& report) {
  out.Put("<h2 id=\"methods\">Methods and reproducibility</h2>");
  Pairs(out, report.methods);
  if (!report.environment.empty()) {
    out.Put("<h3>This execution</h3>");
    Pairs(out, report.environment);
  }
  out.Put("<h3>What is promised about bits, and what is not claimed</h3>\n<ul>");
  for (const std::string& sentence : ScopeOfDeterminism())
    out.Put("<li>{}</li>", EscapeHtml(sentence));
  out.Put("</ul>\n<details class=\"whole\"><summary>Suite file</summary><pre>{}</pre></details>",
          EscapeHtml(report.suite_text));
}

void Waits(HtmlOut& out, const Report& report) {
  const auto rows = SpeedTable(report);
  if (rows.empty()) return;
  out.Put("<h2>Time to and between tokens</h2>");
  out.Table("time to and between tokens", rows);
  out.Put("<p class=\"soft\">{}</p>", EscapeHtml(SpeedNote()));
}

void Foot(HtmlOut& out, const Report& report) {
  out.Put("</main>\n<footer>\n<div>results digest {}</div>", report.results_digest);
  if (!report.database_digest.empty())
    out.Put("<div>database digest {}</div>", report.database_digest);
  out.Put("<div>Made by h1bench from the database alone.</div>\n</footer>");
  out.Put("<script type=\"application/json\" id=\"data\">{}</script>", EmbedJson(PageData(report)));
}

}  // namespace

std::string RenderHtml(const Report& report) {
  HtmlOut top, bottom;
  Head(top, report);
  Navigation(top, report);
  std::string page = top.Take() + HtmlLeaderboard(report) + HtmlCharts(report);
  Waits(bottom, report);
  Warnings(bottom, report);
  page += bottom.Take();
  for (std::size_t task = 0; task < report.tasks.size(); ++task) page += HtmlTask(report, task);
  page += HtmlSamples(report);
  Methods(bottom, report);
  Foot(bottom, report);
  return page + bottom.Take() + "<script>" + kChartScript + "</script>\n<script>" + kPageScript +
         "</script>\n</body>\n</html>\n";
}

}  // namespace h1bench::reports

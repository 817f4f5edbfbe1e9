#include <map>

#include "base/text.h"
#include "reports/render/html_parts.h"

namespace h1bench::reports {
namespace {

constexpr std::size_t kWithoutScripts = 5;  // documents of a task; the tables have all numbers

/// Foreign text for the sample viewer: UTF-8, control characters and bidi overrides visible.
std::string Visible(const std::string& text) { return VisibleText(ReplaceInvalidUtf8(text)); }

/// Only what is there: most members of most samples are empty, and a page holds thousands.
Json SampleJson(const Report& report, const ReportSample& one) {
  Json json;
  const auto set = [&](const char* name, const std::string& text) {
    if (!text.empty()) json.Set(name, Visible(text));
  };
  const auto count = [&](const char* name, std::int64_t number) {
    if (number != 0) json.Set(name, number);
  };
  json.Set("variant", static_cast<std::uint64_t>(one.variant))
      .Set("task", static_cast<std::uint64_t>(one.task))
      .Set("prompt", static_cast<std::uint64_t>(one.prompt))
      .Set("index", one.index)
      .Set("score", one.score);
  set("subset", one.subset);
  set("id", one.document_id);
  count("repeat", one.repeat);
  if (one.differ) json.Set("differ", true);
  set("response", one.response);
  if (one.response_cut) json.Set("response_cut", true);
  if (!one.loglikelihoods.empty()) {
    Json values{Json::Array{}};
    for (const double value : one.loglikelihoods) values.Push(value);
    json.Set("loglikelihoods", values);
  }
  set("extracted", one.extracted);
  set("gold", one.gold);
  set("verdict", one.verdict);
  set("detail", one.detail);
  count("prompt_tokens", one.prompt_tokens);
  count("generated_tokens", one.generated_tokens);
  count("truncated_tokens", one.truncated_tokens);
  if (report.timing) json.Set("seconds", one.seconds);
  return json;
}

/// Text that keeps its line breaks.
void Pre(HtmlOut& out, const char* title, const std::string& text) {
  if (!text.empty()) out.Put("<div class=\"soft\">{}</div><pre>{}</pre>", title, EscapeHtml(text));
}

void PlainSample(HtmlOut& out, const Report& report, const ReportSample& one) {
  out.Put("<details><summary>{} {} {} · {}</summary>", one.score == 1.0 ? "✓" : "✗",
          EscapeHtml(report.tasks[one.task].name),
          EscapeHtml(one.document_id.empty() ? fmt::format("{} {}", one.subset, one.index)
                                             : one.document_id),
          EscapeHtml(report.variants[one.variant].label()));
  const ReportPrompt& prompt = report.prompts[one.prompt];
  Pre(out, "prompt", (prompt.prefix ? report.prefixes[*prompt.prefix] : "") + prompt.text);
  Pre(out, "response", one.response);
  if (!one.loglikelihoods.empty())
    Pre(out, "log-likelihoods", fmt::format("{:.4f}", fmt::join(one.loglikelihoods, "  ")));
  Pre(out, "extracted", one.extracted);
  Pre(out, "gold", one.gold);
  out.Put("</details>");
}

/// The first documents of each task as plain markup, for readers without scripts.
void WithoutScripts(HtmlOut& out, const Report& report) {
  out.Put(
      "<noscript><p>The charts and all but the first samples of each task need scripts; every "
      "number is in the tables.</p>");
  std::map<std::size_t, std::size_t> documents;  // of a task
  const ReportSample* last = nullptr;
  for (const ReportSample& one : report.samples) {
    const bool same = last != nullptr && last->task == one.task && last->subset == one.subset &&
                      last->index == one.index;
    last = &one;
    if (!same) ++documents[one.task];
    if (documents[one.task] <= kWithoutScripts) PlainSample(out, report, one);
  }
  out.Put("</noscript>");
}

}  // namespace

std::string HtmlSamples(const Report& report) {
  HtmlOut out;
  out.Put(
      "<section id=\"viewer\"><h2 id=\"sample-viewer\">Samples</h2>\n<p class=\"soft\">{} of {} "
      "samples are in this page. Of a large task it has documents on which models disagree rather "
      "than those that all have wrong or right; <code>h1bench samples</code> prints all.</p>",
      Grouped(static_cast<std::int64_t>(report.samples.size())), Grouped(report.samples_total));
  WithoutScripts(out, report);
  out.Put(
      "<div class=\"filters\"><select id=\"by-task\" aria-label=\"task\"><option value=\"\">all "
      "tasks</option></select>"
      "<select id=\"by-variant\" aria-label=\"model\"><option value=\"\">all "
      "models</option></select>"
      "<select id=\"by-right\" aria-label=\"right or wrong\"><option value=\"\">right and "
      "wrong</option><option value=\"wrong\">wrong</option>"
      "<option value=\"right\">right</option><option value=\"differ\">models "
      "disagree</option></select>"
      "<select id=\"by-subset\" aria-label=\"subset\"><option value=\"\">all "
      "subsets</option></select>"
      "<input id=\"by-text\" type=\"search\" placeholder=\"id, prompt or response\" "
      "aria-label=\"text in the id, prompt or response\"></div>\n<div id=\"samples\"></div>");
  out.Put(
      "<div class=\"filters\"><button id=\"more\" type=\"button\" hidden>more</button><span "
      "id=\"count\" class=\"soft\" role=\"status\"></span></div></section>\n<p class=\"onpaper "
      "soft\">The sample viewer is left out on paper.</p>");
  return out.Take();
}

Json PageData(const Report& report) {
  Json data, tasks{Json::Array{}}, variants{Json::Array{}}, speed{Json::Array{}},
      memory{Json::Array{}}, samples{Json::Array{}}, prompts{Json::Array{}},
      prefixes{Json::Array{}};
  for (const ReportTask& task : report.tasks) tasks.Push(Visible(task.name));
  for (const ReportVariant& variant : report.variants) {
    variants.Push(Visible(variant.label()));
    if (!variant.average) continue;
    Json point;
    point.Set("name", Visible(variant.label())).Set("y", variant.average->mean * 100);
    if (report.timing && variant.busy_seconds > 0)
      speed.Push(Json(point).Set("x", variant.tokens_per_second));
    const std::int64_t bytes = variant.memory ? variant.memory->peak_rss : variant.weight_bytes;
    memory.Push(point.Set("x", static_cast<double>(bytes) / 1e6));
  }
  for (const std::string& prefix : report.prefixes) prefixes.Push(Visible(prefix));
  for (const ReportPrompt& prompt : report.prompts) {
    Json one;
    one.Set("text", Visible(prompt.text));
    if (prompt.prefix) one.Set("prefix", static_cast<std::uint64_t>(*prompt.prefix));
    if (prompt.cut) one.Set("cut", true);
    prompts.Push(one);
  }
  for (const ReportSample& one : report.samples) samples.Push(SampleJson(report, one));
  data.Set("tasks", tasks).Set("variants", variants).Set("speed", speed).Set("memory", memory);
  data.Set("memory_label", report.timing ? "peak memory" : "weights");
  return data.Set("prefixes", prefixes).Set("prompts", prompts).Set("samples", samples);
}

}  // namespace h1bench::reports

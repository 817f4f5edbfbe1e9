#include "reports/render/render.h"

namespace h1bench::reports {
namespace {

Json ToJson(const Estimate& estimate) {
  Json json;
  return json.Set("mean", estimate.mean)
      .Set("low", estimate.interval.low)
      .Set("high", estimate.interval.high)
      .Set("n", estimate.n);
}

Json ToJson(const std::vector<NamedEstimate>& estimates) {
  Json json{Json::Object{}};
  for (const NamedEstimate& one : estimates) json.Set(one.name, ToJson(one.estimate));
  return json;
}

Json ToJson(const Percentiles& times) {
  if (times.n == 0) return {};
  Json json;
  return json.Set("n", times.n).Set("p50", times.p50).Set("p95", times.p95).Set("p99", times.p99);
}

Json ToJson(const Speed& speed) {
  Json json, phases{Json::Object{}};
  for (const PhaseCost& phase : speed.phases) {
    Json item;
    phases.Set(phase.name, item.Set("seconds", phase.seconds)
                               .Set("joules", phase.joules ? Json(*phase.joules) : Json()));
  }
  return json.Set("ttft_seconds", ToJson(speed.ttft))
      .Set("inter_token_seconds", ToJson(speed.inter_token))
      .Set("phases", phases);
}

Json ToJson(const std::vector<LengthScore>& scores) {
  Json lengths{Json::Array{}};
  for (const LengthScore& one : scores) {
    Json item;
    lengths.Push(
        item.Set("length", one.length).Set("score", one.score ? ToJson(*one.score) : Json()));
  }
  return lengths;
}

Json ToJson(const ByLength& by_length) {
  Json json, categories{Json::Object{}};
  for (const CategoryScores& one : by_length.categories)
    categories.Set(one.name, ToJson(one.lengths));
  json.Set("lengths", ToJson(by_length.lengths));
  if (!by_length.categories.empty()) json.Set("categories", categories);
  if (!by_length.threshold) return json;
  json.Set("effective_length", by_length.effective ? Json(*by_length.effective) : Json())
      .Set("threshold", *by_length.threshold);
  json.Set("weighted_increasing", by_length.increasing ? Json(*by_length.increasing) : Json());
  return json.Set("weighted_decreasing",
                  by_length.decreasing ? Json(*by_length.decreasing) : Json());
}

Json ToJson(const Cell& cell, bool timing) {
  Json json, verdicts{Json::Object{}}, grid{Json::Array{}};
  json.Set("complete", cell.complete)
      .Set("missing_reason", cell.missing_reason.empty() ? Json() : Json(cell.missing_reason));
  json.Set("primary", cell.scored == 0 ? Json() : ToJson(cell.primary))
      .Set("metrics", ToJson(cell.metrics));
  json.Set("macro", cell.macro ? ToJson(*cell.macro) : Json())
      .Set("groups", ToJson(cell.groups))
      .Set("subsets", ToJson(cell.subsets));
  for (const GridCell& one : cell.grid) {
    Json item;
    grid.Push(
        item.Set("length", one.length).Set("depth", one.depth).Set("score", ToJson(one.estimate)));
  }
  json.Set("by_length", cell.by_length.empty() ? Json() : ToJson(cell.by_length));
  for (const auto& [verdict, count] : cell.verdicts) verdicts.Set(verdict, count);
  json.Set("grid", grid)
      .Set("verdicts", verdicts)
      .Set("samples", cell.samples)
      .Set("scored", cell.scored);
  json.Set("errors", cell.errors)
      .Set("poisoned", cell.poisoned)
      .Set("truncated", cell.truncated)
      .Set("empty", cell.empty)
      .Set("invalid", cell.invalid);
  json.Set("prompt_tokens", cell.prompt_tokens).Set("generated_tokens", cell.generated_tokens);
  if (timing) json.Set("reused_tokens", cell.reused_tokens).Set("computed", cell.computed);
  return json;
}

Json ToJson(const ReportVariant& variant, const Report& report) {
  Json json, cells{Json::Object{}};
  json.Set("model", variant.name)
      .Set("precision", variant.precision)
      .Set("digest", variant.digest)
      .Set("parameters", variant.parameters);
  json.Set("weight_bytes", variant.weight_bytes).Set("max_length", variant.max_length);
  json.Set("average", variant.average ? ToJson(*variant.average) : Json());
  for (std::size_t task = 0; task < variant.cells.size(); ++task)
    cells.Set(report.tasks[task].name, ToJson(variant.cells[task], report.timing));
  json.Set("tasks", cells);
  if (!report.timing) return json;
  json.Set("tokens_per_second", variant.tokens_per_second)
      .Set("busy_seconds", variant.busy_seconds);
  Json memory;
  if (variant.memory) {
    memory.Set("weights", variant.memory->weights)
        .Set("kv", variant.memory->kv)
        .Set("state", variant.memory->state);
    memory.Set("workspace", variant.memory->workspace)
        .Set("context", variant.memory->context)
        .Set("peak_rss", variant.memory->peak_rss);
  }
  json.Set("memory_bytes", memory).Set("speed", ToJson(variant.speed));
  if (variant.joules_per_answer) json.Set("joules_per_answer", *variant.joules_per_answer);
  if (variant.joules_per_right_answer)
    json.Set("joules_per_right_answer", *variant.joules_per_right_answer);
  if (variant.gpus.empty()) return json;
  Json gpus{Json::Object{}};
  for (const auto& [worker, gpu] : variant.gpus) gpus.Set(worker, gpu);
  return json.Set("gpus", gpus);
}

Json ToJson(const ReportSample& one, const Report& report) {
  Json json, loglikelihoods{Json::Array{}};
  const ReportVariant& variant = report.variants[one.variant];
  json.Set("model", variant.name)
      .Set("precision", variant.precision)
      .Set("task", report.tasks[one.task].name);
  json.Set("subset", one.subset.empty() ? Json() : Json(one.subset))
      .Set("index", one.index)
      .Set("repeat", one.repeat)
      .Set("task_id", one.document_id.empty() ? Json() : Json(one.document_id));
  json.Set("prompt", static_cast<std::uint64_t>(one.prompt));
  for (const double value : one.loglikelihoods) loglikelihoods.Push(value);
  json.Set("response", one.response)
      .Set("response_cut", one.response_cut)
      .Set("loglikelihoods", loglikelihoods);
  json.Set("extracted", one.extracted)
      .Set("gold", one.gold)
      .Set("score", one.score)
      .Set("verdict", one.verdict.empty() ? Json() : Json(one.verdict))
      .Set("models_disagree", one.differ);
  json.Set("prompt_tokens", one.prompt_tokens)
      .Set("generated_tokens", one.generated_tokens)
      .Set("truncated_tokens", one.truncated_tokens);
  if (report.timing) json.Set("detail", one.detail).Set("seconds", one.seconds);
  return json;
}

/// What the sample viewer shows: prompts once each, and what several begin with once.
Json Shown(const Report& report) {
  Json json, prefixes{Json::Array{}}, prompts{Json::Array{}}, samples{Json::Array{}};
  for (const std::string& prefix : report.prefixes) prefixes.Push(prefix);
  for (const ReportPrompt& prompt : report.prompts) {
    Json one;
    one.Set("prefix", prompt.prefix ? Json(static_cast<std::uint64_t>(*prompt.prefix)) : Json());
    prompts.Push(one.Set("text", prompt.text).Set("cut", prompt.cut));
  }
  for (const ReportSample& sample : report.samples) samples.Push(ToJson(sample, report));
  return json.Set("total", report.samples_total)
      .Set("prefixes", prefixes)
      .Set("prompts", prompts)
      .Set("samples", samples);
}

template <typename Value>
Json Pairs(const std::vector<std::pair<std::string, Value>>& pairs) {
  Json json{Json::Object{}};
  for (const auto& [label, value] : pairs) json.Set(label, value);
  return json;
}

}  // namespace

std::string RenderJson(const Report& report) {
  Json json, tasks{Json::Array{}}, leaderboard{Json::Array{}}, warnings{Json::Array{}},
      scope{Json::Array{}};
  for (const ReportTask& task : report.tasks) {
    Json item;
    tasks.Push(item.Set("name", task.name)
                   .Set("task", task.task)
                   .Set("data_digest", task.data_digest)
                   .Set("options", task.options)
                   .Set("describe", task.describe));
  }
  for (const std::size_t place : report.ranking)
    leaderboard.Push(ToJson(report.variants[place], report));
  for (const std::string& warning : report.warnings) warnings.Push(warning);
  for (const std::string& sentence : ScopeOfDeterminism()) scope.Push(sentence);
  json.Set("version", 1)
      .Set("title", report.title)
      .Set("state", report.state)
      .Set("description", report.description)
      .Set("answer", report.answer);
  json.Set("seed", report.seed)
      .Set("tasks", tasks)
      .Set("leaderboard", leaderboard)
      .Set("warnings", warnings);
  json.Set("methods", Pairs(report.methods))
      .Set("determinism", scope)
      .Set("suite", report.suite_text);
  // The number of a run is a matter of the database, not of the results.
  if (report.timing)
    json.Set("run", report.run)
        .Set("id", report.run_name)
        .Set("created", report.created)
        .Set("environment", Pairs(report.environment))
        .Set("database_digest", report.database_digest);
  json.Set("shown", Shown(report)).Set("results_digest", report.results_digest);
  return WriteJson(json, 1) + "\n";
}

}  // namespace h1bench::reports

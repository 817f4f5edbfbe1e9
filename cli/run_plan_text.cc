// The plan of a run as text and as JSON.
#include <fmt/format.h>

#include "cli/run_plan.h"
#include "cli/units.h"

namespace h1bench::cli {
namespace {

/// Cells are shown one by one while they fit on a screen.
constexpr std::size_t kMostCells = 16;

/// "4.12 M", "81.0 k", "640": three digits that mean something.
std::string Tokens(std::int64_t count) {
  if (count < 10'000) return FormatCount(count);
  const auto tokens = static_cast<double>(count);
  return count < 999'500 ? fmt::format("{:.{}f} k", tokens / 1e3, count < 99'950 ? 1 : 0)
                         : fmt::format("{:.{}f} M", tokens / 1e6, count < 9'995'000 ? 2 : 1);
}

std::string Prompts(std::int64_t all, std::int64_t computed) {
  return fmt::format("prompts {} tokens ({} after prefix reuse)", Tokens(all), Tokens(computed));
}

std::string Answers(std::int64_t tokens) {
  return tokens == 0 ? "" : fmt::format("   answers {}", Tokens(tokens));
}

std::string Share(const RunPlan& plan, double seconds) {
  if (!plan.estimate.known()) return "";
  return "   about " + FormatSeconds(seconds / plan.estimate.parallel);
}

struct Sum {
  std::int64_t prompts = 0, computed = 0, generated = 0;
  double seconds = 0;
};

Sum SumOf(const VariantPlan& variant) {
  Sum sum;
  for (const CellPlan& cell : variant.cells) {
    sum.prompts += cell.prompt_tokens;
    sum.computed += cell.computed_tokens;
    sum.generated += cell.generated_tokens;
    sum.seconds += cell.seconds;
  }
  return sum;
}

Json MemoryJson(const MemoryPlan& memory) {
  Json json;
  json.Set("total", memory.total()).Set("weights", memory.weights).Set("kv", memory.kv);
  json.Set("state", memory.state).Set("workspace", memory.workspace);
  json.Set("context", memory.context);
  return json;
}

}  // namespace

std::string PlanText(const RunPlan& plan) {
  std::size_t cells = 0;
  for (const VariantPlan& variant : plan.variants) cells += variant.cells.size();
  std::string out;
  for (const VariantPlan& v : plan.variants) {
    const Sum sum = SumOf(v);
    out += fmt::format("  {:<20.40} {:<5} {:>8}   plan {} of {}{}   {}{}\n", v.model, v.precision,
                       FormatBytes(v.file_bytes), FormatBytes(v.memory.total()),
                       FormatBytes(plan.budget), plan.workers > 1 ? " a worker" : "",
                       Prompts(sum.prompts, sum.computed),
                       cells > kMostCells ? Share(plan, sum.seconds) : "");
    out += fmt::format(
        "    memory: weights {}, KV {}, SSM and conv state {}, workspace {}, process {}\n",
        FormatBytes(v.memory.weights), FormatBytes(v.memory.kv), FormatBytes(v.memory.state),
        FormatBytes(v.memory.workspace), FormatBytes(v.memory.context));
    for (const CellPlan& cell : v.cells) {
      if (cells > kMostCells) break;
      out +=
          fmt::format("    {:<14.24} {:>7} requests   {}{}{}\n", cell.task,
                      FormatCount(cell.requests), Prompts(cell.prompt_tokens, cell.computed_tokens),
                      Answers(cell.generated_tokens), Share(plan, cell.seconds));
    }
  }
  return out;
}

void PrintPlan(const RunPlan& plan, const std::filesystem::path& db, std::FILE* to) {
  std::string out = PlanText(plan);
  if (plan.measuring_seconds > 0)
    out += fmt::format("  this machine was measured first ({:.1f} s, kept in the database)\n",
                       plan.measuring_seconds);
  out += fmt::format("  {} worker{}   database {}", plan.workers, plan.workers == 1 ? "" : "s",
                     db.string());
  if (plan.estimate.known())
    out += "   estimated " + FormatSeconds(plan.estimate.seconds);
  else if (!plan.no_estimate.empty())
    out += fmt::format("   no estimate before the first answers: {}", plan.no_estimate);
  std::fprintf(to, "%s\n", out.c_str());
}

Json PlanJson(const RunPlan& plan) {
  Json json;
  json.Set("workers", plan.workers).Set("budget_bytes", plan.budget);
  json.Set("estimated_seconds", plan.estimate.known() ? Json(plan.estimate.seconds) : Json());
  json.Set("load_seconds", plan.estimate.known() ? Json(plan.estimate.load_seconds) : Json());
  json.Set("measuring_seconds", plan.measuring_seconds);
  Json variants{Json::Array{}};
  for (const VariantPlan& v : plan.variants) {
    Json variant;
    variant.Set("model", v.model).Set("precision", v.precision).Set("file_bytes", v.file_bytes);
    variant.Set("memory", MemoryJson(v.memory));
    Json cells{Json::Array{}};
    for (const CellPlan& c : v.cells) {
      Json cell;
      cell.Set("task", c.task).Set("requests", c.requests);
      cell.Set("prompt_tokens", c.prompt_tokens).Set("computed_tokens", c.computed_tokens);
      cell.Set("generated_tokens", c.generated_tokens).Set("expected_tokens", c.expected_tokens);
      cell.Set("seconds",
               plan.estimate.known() ? Json(c.seconds / plan.estimate.parallel) : Json());
      cells.Push(std::move(cell));
    }
    variants.Push(variant.Set("cells", std::move(cells)));
  }
  json.Set("variants", std::move(variants));
  return json;
}

}  // namespace h1bench::cli

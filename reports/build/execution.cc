#include "reports/build/execution.h"

#include <algorithm>
#include <ctime>

#include "base/text.h"
#include "reports/build/json_members.h"

namespace h1bench::reports {
namespace {

/// What is known of a GPU while the engine ran, in words (members: runner/worker/telemetry.h).
std::string GpuSentence(const Json& gpu) {
  const Json* name = gpu.Find("name");
  std::string out = name != nullptr && name->is_string() ? name->as_string() : "GPU";
  const auto add = [&](const char* key, const char* label, const char* unit, double scale) {
    const Json* value = gpu.Find(key);
    if (value != nullptr && value->is_number())
      out += fmt::format(", {}{:.1f} {}", label, value->as_double() * scale, unit);
  };
  const std::string driver = TextMember(gpu, "driver");
  if (!driver.empty()) out += ", driver " + ReplaceInvalidUtf8(driver);
  add("seconds", "", "s in the engine", 1);
  add("joules", "", "J", 1);
  add("mean_watts", "mean ", "W", 1);
  add("peak_watts", "peak ", "W", 1);
  add("sm_clock_min_mhz", "SM clock from ", "MHz", 1);
  add("sm_clock_max_mhz", "to ", "MHz", 1);
  add("celsius_max", "at most ", "°C", 1);
  add("memory_max", "at most ", "GB of memory in use", 1e-9);
  const Json* counter = gpu.Find("energy_counter");
  if (counter != nullptr && counter->is_bool() && !counter->as_bool())
    out += "; energy from sampled power, the card has no counter";
  const Json* foreign = gpu.Find("foreign_processes");
  if (foreign != nullptr && foreign->is_array() && !foreign->as_array().empty())
    out += fmt::format("; {} other process(es) computed on it: the figures are theirs too",
                       foreign->as_array().size());
  return out;
}

ReportVariant::Memory MemoryFrom(const Json& json) {
  ReportVariant::Memory memory;
  memory.weights = IntegerMember(json, "weights");
  memory.kv = IntegerMember(json, "kv");
  memory.state = IntegerMember(json, "state");
  memory.workspace = IntegerMember(json, "workspace");
  memory.context = IntegerMember(json, "context");
  memory.peak_rss = IntegerMember(json, "peak_rss");
  return memory;
}

/// What one worker reported for a variant.
void AddWorker(const std::string& worker, const Json& json, ReportVariant& variant) {
  const Json* seconds = json.Find("engine_seconds");
  if (seconds != nullptr && seconds->is_number()) variant.busy_seconds += seconds->as_double();
  const Json* gpu = json.Find("gpu");
  if (gpu != nullptr && gpu->is_object()) variant.gpus.emplace_back(worker, *gpu);
  AddPhases(json, variant.speed.phases);
  const ReportVariant::Memory memory = MemoryFrom(json);
  if (!variant.memory || memory.peak_rss > variant.memory->peak_rss) variant.memory = memory;
}

void SpeedAndEnergy(ReportVariant& variant) {
  std::int64_t tokens = 0, answers = 0;
  double right = 0, joules = 0;
  for (const Cell& cell : variant.cells) {
    tokens += cell.computed_tokens;
    answers += cell.computed;
    right += cell.computed_score;
  }
  if (variant.busy_seconds > 0)
    variant.tokens_per_second = static_cast<double>(tokens) / variant.busy_seconds;
  for (const auto& [worker, gpu] : variant.gpus) {
    const Json* energy = gpu.Find("joules");
    if (energy == nullptr || !energy->is_number()) return;  // a part is no sum
    joules += energy->as_double();
  }
  if (variant.gpus.empty()) return;
  if (answers > 0) variant.joules_per_answer = joules / static_cast<double>(answers);
  if (right > 0) variant.joules_per_right_answer = joules / right;
}

Json JsonOrText(const std::string& text) {
  auto json = ParseJson(text);
  return json.ok() ? std::move(json).value() : Json(ReplaceInvalidUtf8(text));
}

/// "2026-11-24 09:30 UTC"
std::string WallTime(std::int64_t unix_ms) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm utc = {};
  gmtime_r(&seconds, &utc);
  char text[32] = {};
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc));
}

/// "toy bf16: gsm8k 25.00 %, mmlu 30.00 %; ..."
std::string ScoresText(const Report& report, const std::vector<ScoreVersions::OfCell>& cells) {
  std::string text;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const bool same = i > 0 && cells[i - 1].variant == cells[i].variant;
    if (i > 0) text += same ? ", " : "; ";
    if (!same) text += report.variants[cells[i].variant].label() + ": ";
    text += fmt::format("{} {:.2f} %", report.tasks[cells[i].task].name, 100 * cells[i].mean);
  }
  return text;
}

}  // namespace

Status DescribeMethods(Store& store, const RunRow& run, const ScoreVersions& scores,
                       Report& report) {
  auto& methods = report.methods;
  methods.emplace_back("Suite", run.name);
  methods.emplace_back("Seed", std::to_string(run.seed));
  for (const ReportVariant& variant : report.variants) {
    methods.emplace_back("Model " + variant.label(),
                         fmt::format("digest {}, {} parameters, context {} tokens", variant.digest,
                                     variant.parameters, variant.max_length));
  }
  for (const ReportTask& task : report.tasks) {
    methods.emplace_back("Task " + task.name,
                         fmt::format("{}; data digest {}", task.protocol, task.data_digest));
  }
  if (scores.version > 1)
    methods.emplace_back("Scores", fmt::format("version {}: scored again from the stored responses",
                                               scores.version));
  for (const auto& [version, cells] : scores.earlier)
    methods.emplace_back(fmt::format("Scores of version {}", version), ScoresText(report, cells));
  methods.emplace_back(
      "Intervals",
      "95 %: Wilson for shares of right answers, widened by clustering where documents come in "
      "subsets "
      "(Miller, arXiv 2411.00640); errors and poisoned documents count as wrong");
  H1_ASSIGN_OR_RETURN(report.results_digest, store.ResultsDigest(run.id));
  return Status::Ok();
}

Status ReadMemory(Store& store, std::int64_t run, Report& report) {
  H1_ASSIGN_OR_RETURN(const std::vector<MemoryRow> rows, store.Memory(run));
  for (const MemoryRow& row : rows) {
    const auto variant =
        std::find_if(report.variants.begin(), report.variants.end(),
                     [&](const ReportVariant& one) { return one.id == row.variant_id; });
    const auto json = ParseJson(row.memory_json);
    if (variant != report.variants.end() && json.ok()) AddWorker(row.worker, *json, *variant);
  }
  for (ReportVariant& variant : report.variants) SpeedAndEnergy(variant);
  return Status::Ok();
}

Status DescribeExecution(Store& store, const RunRow& run, Report& report) {
  H1_ASSIGN_OR_RETURN(report.database_digest, store.DatabaseDigest());
  report.created = WallTime(run.created_unix_ms);
  auto& environment = report.environment;
  environment.emplace_back("Begun", report.created);
  environment.emplace_back("Wall time",
                           fmt::format("{:.1f} s over all executions", run.wall_seconds));
  environment.emplace_back("Version", JsonOrText(run.version_json));
  environment.emplace_back("Machine", JsonOrText(run.environment_json));
  H1_ASSIGN_OR_RETURN(const std::vector<WorkerRow> workers, store.Workers(run.id));
  for (const WorkerRow& worker : workers)
    environment.emplace_back("Worker " + worker.worker, JsonOrText(worker.environment_json));
  for (const ReportVariant& variant : report.variants) {
    for (const auto& [worker, gpu] : variant.gpus)
      environment.emplace_back(fmt::format("GPU of {} for {}", worker, variant.label()),
                               GpuSentence(gpu));
  }
  return Status::Ok();
}

}  // namespace h1bench::reports

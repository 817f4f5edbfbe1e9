#include "harness/coordinator/planner.h"

#include <algorithm>
#include <map>

#include "base/sha256.h"
#include "harness/coordinator/request.h"
#include "tasks/switches.h"

namespace h1bench {
namespace {

/// Prompts whose tokens are counted to learn how many bytes a token has; counting all would
/// tokenise everything twice.
constexpr std::size_t kCountedPrompts = 8;

class Planner {
 public:
  Planner(const Suite& suite, ModelSource& models, const PlanOptions& options)
      : suite_(suite), models_(models), options_(options) {}

  Result<Plan> Make() {
    plan_.identity = models_.Identity();
    FillRun();
    for (const SuiteModel& model : suite_.models) H1_RETURN_IF_ERROR(AddModel(model));
    return std::move(plan_);
  }

 private:
  using Tasks = std::vector<std::shared_ptr<const LoadedTask>>;

  void FillRun() {
    RunRow& run = plan_.run;
    run.name = suite_.name;
    run.description = suite_.description;
    run.suite_text = suite_.text;
    run.suite_path = options_.suite_path.string();
    run.seed = suite_.seed;
    run.version_json = options_.version_json;
    run.environment_json = options_.environment_json;
    run.created_unix_ms = options_.created_unix_ms;
    Json kept = options_.options;
    kept.Set("identity", plan_.identity);
    kept.Set("data", options_.data.string());
    run.options_json = WriteJson(kept);
  }

  Status AddModel(const SuiteModel& model) {
    const std::string place =
        fmt::format("{}:{}: model {}", options_.suite_path.string(), model.line, model.name);
    const Result<ModelFacts> read = models_.Read(model.path);
    if (!read.ok()) return read.status().WithContext(place);
    const ModelFacts& facts = *read;
    if (model.max_length > facts.max_length) {
      return InvalidArgument("{}: max_length {} is more than the model's {} positions", place,
                             model.max_length, facts.max_length);
    }
    const std::int64_t max_length = model.max_length > 0 ? model.max_length : facts.max_length;
    Tasks& tasks = tasks_by_model_[{facts.digest, max_length}];
    if (tasks.empty()) H1_RETURN_IF_ERROR(LoadTasks(facts, max_length, tasks));
    for (const std::string& precision : model.precisions) {
      VariantRow row;
      row.model_name = model.name;
      row.model_path = std::filesystem::absolute(model.path).lexically_normal().string();
      row.model_digest = facts.digest;
      row.precision = precision;
      row.max_length = max_length;
      row.parameters = facts.parameters;
      const auto bytes = facts.weight_bytes.find(precision);
      row.weight_bytes = bytes == facts.weight_bytes.end() ? 0 : bytes->second;
      row.config_json = facts.config_json;
      plan_.variants.push_back(row);
      plan_.loaded.push_back(tasks);
      for (std::size_t task = 0; task < tasks.size(); ++task) AddSamples(facts, task);
    }
    return Status::Ok();
  }

  Status LoadTasks(const ModelFacts& facts, std::int64_t max_length, Tasks& out) {
    for (const SuiteTask& entry : suite_.tasks) {
      tasks::TaskOptions options = ParseTaskOptions(entry.options, options_.data, suite_.seed);
      options.count_tokens = facts.count_tokens;
      options.cut_tokens = facts.cut_tokens;
      options.max_length = max_length;
      if (!options.chat.empty() && !facts.chat.ok())
        return InEntry(entry, facts.chat.WithContext("chat: " + options.chat));
      Result<std::unique_ptr<tasks::Task>> task = tasks::LoadTask(entry.task, options);
      if (!task.ok()) return InEntry(entry, task.status());
      if (out.size() == plan_.tasks.size()) {  // the first model's: later ones share the row
        RunTaskRow row;
        row.name = entry.name;
        row.task = entry.task;
        row.options_json = WriteJson(entry.options);
        row.data_digest = (*task)->data_digest();
        row.describe_json = WriteJson(Describe(**task, options));
        plan_.tasks.push_back(row);
      }
      out.push_back(std::make_shared<const LoadedTask>(std::move(task).value()));
    }
    return Status::Ok();
  }

  /// A refusal with the entry that it is about; some name the task themselves.
  Status InEntry(const SuiteTask& entry, const Status& status) const {
    const std::string name = "task " + entry.name;
    const Status named =
        status.message().starts_with(name + ": ") ? status : status.WithContext(name);
    return named.WithContext(fmt::format("{}:{}", options_.suite_path.string(), entry.line));
  }

  /// The task's own words with the engine's switches in its protocol line.
  static Json Describe(const tasks::Task& task, const tasks::TaskOptions& options) {
    Json json = task.Describe();
    const Json* protocol = json.Find("protocol");
    if (!task.documents().empty()) {  // for the reason of an n/a
      const std::int64_t tokens = task.BuildRequest(task.documents().front()).max_new_tokens;
      if (tokens > 0) json.Set("max_new_tokens", tokens);
    }
    const std::string note = tasks::SwitchNote(options);
    if (!note.empty() && protocol != nullptr && protocol->is_string())
      json.Set("protocol", protocol->as_string() + note);
    return json;
  }

  /// All samples of the newest variant on one task.
  void AddSamples(const ModelFacts& facts, std::size_t task_place) {
    const SuiteTask& entry = suite_.tasks[task_place];
    const tasks::Task& task = plan_.loaded.back()[task_place]->task();
    const tasks::TaskOptions options = ParseTaskOptions(entry.options, options_.data, suite_.seed);
    const VariantRow& variant = plan_.variants.back();
    double bytes = 0, tokens = 0;
    std::size_t counted = 0;
    for (const tasks::Document& document : task.documents()) {
      if (document.fills_tokens > variant.max_length) continue;  // n/a, as the report says
      tasks::Request request = task.BuildRequest(document);
      tasks::ApplySwitches(options, request);
      if (request.max_new_tokens >= variant.max_length) continue;  // no room for a prompt: n/a
      if (counted < kCountedPrompts && facts.count_tokens) {
        ++counted;
        bytes += static_cast<double>(request.context.size());
        tokens += static_cast<double>(facts.count_tokens(request.context));
      }
      SampleRow row;
      row.variant_id = static_cast<std::int64_t>(plan_.variants.size()) - 1;
      row.run_task_id = static_cast<std::int64_t>(task_place);
      row.subset = document.subset;
      row.document_id = document.id;
      row.gold = document.gold;
      row.index = document.index;
      row.prompt_sha256 = Sha256Hex(request.context);
      const double bytes_per_token = tokens > 0 ? std::max(1.0, bytes / tokens) : 4.0;
      row.cost_tokens =
          1 + request.max_new_tokens + static_cast<std::int64_t>(request.continuations.size()) +
          static_cast<std::int64_t>(static_cast<double>(request.context.size()) / bytes_per_token);
      for (row.repeat = 0; row.repeat < options.repeats; ++row.repeat) {
        const std::string sampling =
            SamplingKey(suite_.seed, entry.task, document, row.repeat, request.temperature);
        row.request_json = RequestJson(request, sampling);
        row.request_key = RequestKey({variant.model_digest, variant.precision, plan_.identity,
                                      variant.max_length, row.repeat},
                                     request, sampling);
        row.id = static_cast<std::int64_t>(plan_.samples.size()) + 1;
        plan_.samples.push_back(row);
      }
    }
  }

  const Suite& suite_;
  ModelSource& models_;
  const PlanOptions& options_;
  Plan plan_;
  std::map<std::pair<std::string, std::int64_t>, Tasks> tasks_by_model_;  // by digest, max_length
};

}  // namespace

Result<Plan> MakePlan(const Suite& suite, ModelSource& models, const PlanOptions& options) {
  return Planner(suite, models, options).Make();
}

Result<std::string> Plan::Prompt(const SampleRow& sample) const {
  const LoadedTask& task = *loaded[static_cast<std::size_t>(sample.variant_id)]
                                  [static_cast<std::size_t>(sample.run_task_id)];
  const tasks::Document* document = task.Find(sample.subset, sample.index);
  if (document == nullptr) return Internal("sample {} of a plan has no document", sample.id);
  return task.task().BuildRequest(*document).context;
}

bool Plan::NeedsJudge() const {
  for (const auto& variant : loaded) {
    for (const auto& task : variant) {
      if (task->task().needs_judge()) return true;
    }
  }
  return false;
}

Result<std::int64_t> StorePlan(Store& store, Plan& plan, TaskSet& tasks) {
  H1_ASSIGN_OR_RETURN(
      const std::int64_t run,
      store.CreateRun(plan.run, plan.variants, plan.tasks, [&](const auto& add) -> Status {
        for (SampleRow row : plan.samples) {
          H1_ASSIGN_OR_RETURN(row.prompt, plan.Prompt(row));
          row.variant_id = plan.variants[static_cast<std::size_t>(row.variant_id)].id;
          row.run_task_id = plan.tasks[static_cast<std::size_t>(row.run_task_id)].id;
          H1_RETURN_IF_ERROR(add(row));
        }
        return Status::Ok();
      }));
  plan.run.id = run;
  for (std::size_t variant = 0; variant < plan.variants.size(); ++variant) {
    for (std::size_t task = 0; task < plan.tasks.size(); ++task) {
      tasks.Add(plan.tasks[task].id, plan.variants[variant].id, plan.loaded[variant][task]);
    }
  }
  return run;
}

}  // namespace h1bench

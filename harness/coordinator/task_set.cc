#include "harness/coordinator/task_set.h"

#include <algorithm>
#include <tuple>

#include "tasks/switches.h"

namespace h1bench {

tasks::TaskOptions ParseTaskOptions(const Json& options, const std::filesystem::path& data,
                                    std::int64_t seed) {
  tasks::TaskOptions parsed;
  parsed.data = data;
  parsed.seed = seed;
  const auto integer = [&](const char* key, std::int64_t& out) {
    if (const Json* value = options.Find(key); value != nullptr && value->is_integer())
      out = value->as_int();
  };
  const auto number = [&](const char* key, double& out) {
    if (const Json* value = options.Find(key); value != nullptr && value->is_number())
      out = value->as_double();
  };
  integer("shots", parsed.shots);
  integer("limit", parsed.limit);
  integer("max_new_tokens", parsed.max_new_tokens);
  integer("repeats", parsed.repeats);
  integer("fewshot_world_size", parsed.fewshot_world_size);
  integer("samples", parsed.samples);
  number("temperature", parsed.temperature);
  number("top_p", parsed.top_p);
  const auto string = [&](const char* key) {
    const Json* value = options.Find(key);
    return value != nullptr && value->is_string() ? value->as_string() : std::string();
  };
  parsed.file = string("file");
  parsed.chat = string("chat");
  parsed.system = string("system");
  for (const tasks::Switch& one : tasks::Switches()) parsed.*one.member = string(one.key);
  parsed.ruler_variant = string("ruler_variant");
  parsed.ruler_qa = string("ruler_qa");
  parsed.ruler_files = string("ruler_files");
  const auto each = [&](const char* key, const std::function<void(const Json&)>& take) {
    const Json* list = options.Find(key);
    if (list == nullptr || !list->is_array()) return;
    for (const Json& item : list->as_array()) take(item);
  };
  each("subjects", [&](const Json& item) {
    if (item.is_string()) parsed.subjects.push_back(item.as_string());
  });
  each("lengths", [&](const Json& item) {
    if (item.is_integer()) parsed.lengths.push_back(item.as_int());
  });
  each("depths", [&](const Json& item) {
    if (item.is_number()) parsed.depths.push_back(item.as_double());
  });
  return parsed;
}

LoadedTask::LoadedTask(std::unique_ptr<tasks::Task> task) : task_(std::move(task)) {
  for (const tasks::Document& document : task_->documents())
    documents_[{document.subset, document.index}] = &document;
}

const tasks::Document* LoadedTask::Find(const std::string& subset, std::int64_t index) const {
  const auto found = documents_.find({subset, index});
  return found == documents_.end() ? nullptr : found->second;
}

bool TaskSet::NeedsJudge() const {
  return std::any_of(tasks_.begin(), tasks_.end(),
                     [](const auto& entry) { return entry.second->task().needs_judge(); });
}

namespace {

Result<std::shared_ptr<const LoadedTask>> LoadTaskOfRun(const RunTaskRow& row,
                                                        const std::filesystem::path& data,
                                                        std::int64_t seed, const ModelFacts& facts,
                                                        std::int64_t max_length) {
  const Result<Json> json = ParseJson(row.options_json);
  if (!json.ok()) return json.status().WithContext("options of task " + row.name);
  tasks::TaskOptions options = ParseTaskOptions(*json, data, seed);
  options.count_tokens = facts.count_tokens;
  options.cut_tokens = facts.cut_tokens;
  options.max_length = max_length;
  H1_ASSIGN_OR_RETURN(std::unique_ptr<tasks::Task> task, tasks::LoadTask(row.task, options));
  if (task->data_digest() != row.data_digest) {
    return FailedPrecondition(
        "task {}: the data of {} changed since the run was planned (digest {}, was {}). Put the "
        "old files back, or start "
        "a new run: it reuses every answer whose question did not change.",
        row.name, (options.file.empty() ? data : options.file).string(), task->data_digest(),
        row.data_digest);
  }
  return std::make_shared<const LoadedTask>(std::move(task));
}

}  // namespace

Result<TaskSet> LoadTasksOfRun(Store& store, std::int64_t run, ModelSource& models,
                               const std::filesystem::path& data) {
  H1_ASSIGN_OR_RETURN(const RunRow row, store.GetRun(run));
  H1_ASSIGN_OR_RETURN(const std::vector<VariantRow> variants, store.Variants(run));
  H1_ASSIGN_OR_RETURN(const std::vector<RunTaskRow> run_tasks, store.Tasks(run));
  TaskSet set;
  std::map<std::string, ModelFacts> known;  // by path
  std::map<std::tuple<std::int64_t, std::string, std::int64_t>, std::shared_ptr<const LoadedTask>>
      loaded;  // by task, digest and max_length
  for (const VariantRow& variant : variants) {
    if (known.count(variant.model_path) == 0) {
      H1_ASSIGN_OR_RETURN(known[variant.model_path], models.Read(variant.model_path));
    }
    const ModelFacts& facts = known[variant.model_path];
    if (facts.digest != variant.model_digest) {
      return FailedPrecondition(
          "{}: the model changed since the run was planned (digest {}, was {}). Start a new run.",
          variant.model_path, facts.digest, variant.model_digest);
    }
    for (const RunTaskRow& task : run_tasks) {
      auto& entry = loaded[{task.id, variant.model_digest, variant.max_length}];
      if (entry == nullptr) {
        H1_ASSIGN_OR_RETURN(entry, LoadTaskOfRun(task, data, row.seed, facts, variant.max_length));
      }
      set.Add(task.id, variant.id, entry);
    }
  }
  return set;
}

}  // namespace h1bench

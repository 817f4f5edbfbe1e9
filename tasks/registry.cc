#include "tasks/registry.h"

#include <array>

#include "base/text.h"

namespace h1bench::tasks {
namespace {

/// All tasks, by name.
constexpr std::array kAll = {
    &kGsm8k,         &kGsm8kCot,          &kHelmet, &kHumanEval, &kHumanEvalInstruct,
    &kHumanEvalPlus, &kHumanEvalPlusChat, &kMmlu,   &kNiah,      &kRuler};

const Registration* Find(const std::string& name) {
  for (const Registration* one : kAll) {
    if (name == one->name) return one;
  }
  return name == kCustom.name ? &kCustom : nullptr;
}

}  // namespace

std::vector<std::string> TaskNames() {
  std::vector<std::string> names;
  for (const Registration* one : kAll) names.emplace_back(one->name);
  return names;
}

std::string TaskSummary(const std::string& name) {
  const Registration* one = Find(name);
  return one == nullptr ? "" : one->summary;
}

bool IsTaskFile(const std::string& name) {
  return name.ends_with(".yaml") || name.ends_with(".yml");
}

Status UnknownTask(const std::string& name) {
  const std::string near = NearestWord(name, TaskNames());
  return InvalidArgument(
      "unknown task \"{}\".{} Known: {}, or a task file that ends in .yaml", VisibleText(name),
      near.empty() ? "" : fmt::format(" Did you mean \"{}\"?", near), fmt::join(TaskNames(), " "));
}

Result<std::unique_ptr<Task>> LoadTask(const std::string& name, const TaskOptions& options) {
  if (IsTaskFile(name)) {
    TaskOptions with_file = options;
    with_file.file = name;
    return kCustom.load(with_file);
  }
  const Registration* one = Find(name);
  if (one == nullptr || (one == &kCustom && options.file.empty())) return UnknownTask(name);
  return one->load(options);
}

}  // namespace h1bench::tasks

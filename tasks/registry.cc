#include "tasks/registry.h"

#include <array>

#include "base/text.h"

namespace h1bench::tasks {
namespace {

/// All tasks, by name.
constexpr std::array<const Registration*, 9> kAll = {
    &kGsm8k, &kGsm8kCot, &kHumanEval, &kHumanEvalInstruct, &kHumanEvalPlus, &kHumanEvalPlusChat,
    &kMmlu,  &kNiah,     &kRuler};

const Registration* Find(const std::string& name) {
  for (const Registration* one : kAll) {
    if (name == one->name) return one;
  }
  return nullptr;
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

Result<std::unique_ptr<Task>> LoadTask(const std::string& name, const TaskOptions& options) {
  const Registration* one = Find(name);
  if (one != nullptr) return one->load(options);
  const std::string near = NearestWord(name, TaskNames());
  return InvalidArgument("unknown task \"{}\".{} Known: {}", VisibleText(name),
                         near.empty() ? "" : fmt::format(" Did you mean \"{}\"?", near),
                         fmt::join(TaskNames(), " "));
}

}  // namespace h1bench::tasks

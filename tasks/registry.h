#pragma once

#include <memory>
#include <string>

#include "tasks/task.h"

namespace h1bench::tasks {

using LoadFunction = Result<std::unique_ptr<Task>> (*)(const TaskOptions&);

/// A task under its name. Each task's file defines one; the list in registry.cc makes it known.
struct Registration {
  const char* name;
  const char* summary;
  LoadFunction load;
  constexpr Registration(const char* n, const char* s, LoadFunction l)
      : name(n), summary(s), load(l) {}
};

/// Loads a task type whose Load(options) reads its data.
template <typename T>
Result<std::unique_ptr<Task>> MakeTask(const TaskOptions& options) {
  auto task = std::make_unique<T>();
  H1_RETURN_IF_ERROR(task->Load(options));
  return std::unique_ptr<Task>(std::move(task));
}

/// Tasks of users: reached by the path of a task file, not by a name.
extern const Registration kCustom;

extern const Registration kGsm8k, kGsm8kCot, kHelmet, kHumanEval, kHumanEvalInstruct,
    kHumanEvalPlus, kHumanEvalPlusChat, kMmlu, kNiah, kRuler;

}  // namespace h1bench::tasks

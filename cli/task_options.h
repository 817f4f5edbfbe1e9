#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/json.h"
#include "tasks/task.h"

namespace h1bench::cli {

/// A task and its options on a command line (prompts, grade).
struct TaskArguments {
  std::string task, data, model;
  bool chat = false, multiturn = false;
  tasks::TaskOptions options;
};

/// TASK, --data, --shots, --subjects, --limit, --seed, --fewshot-world-size, --lengths, --depths,
/// --samples, --model.
void AddTaskArguments(CLI::App& app, TaskArguments& arguments);
Result<std::unique_ptr<tasks::Task>> LoadFromArguments(const TaskArguments& arguments);

}  // namespace h1bench::cli

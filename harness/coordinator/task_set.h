#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "harness/coordinator/model_source.h"
#include "harness/store/store.h"
#include "tasks/task.h"

namespace h1bench {

/// The keys of a suite's task entry as the task takes them. The suite has checked their types.
tasks::TaskOptions ParseTaskOptions(const Json& options, const std::filesystem::path& data,
                                    std::int64_t seed);

/// A task with its data read and its documents by name.
class LoadedTask {
 public:
  explicit LoadedTask(std::unique_ptr<tasks::Task> task);
  const tasks::Task& task() const { return *task_; }
  /// Null when the data has no such document.
  const tasks::Document* Find(const std::string& subset, std::int64_t index) const;

 private:
  std::unique_ptr<tasks::Task> task_;
  std::map<std::pair<std::string, std::int64_t>, const tasks::Document*> documents_;
};

/// The loaded tasks of a run by (run task, variant). A task is loaded once a model, because tasks
/// that fill a context length depend on its tokenizer. Immutable and thread-safe once built.
class TaskSet {
 public:
  void Add(std::int64_t run_task, std::int64_t variant, std::shared_ptr<const LoadedTask> task) {
    tasks_[{run_task, variant}] = std::move(task);
  }
  const LoadedTask* Find(std::int64_t run_task, std::int64_t variant) const {
    const auto found = tasks_.find({run_task, variant});
    return found == tasks_.end() ? nullptr : found->second.get();
  }
  bool NeedsJudge() const;

 private:
  std::map<std::pair<std::int64_t, std::int64_t>, std::shared_ptr<const LoadedTask>> tasks_;
};

/// The tasks of a stored run, for resuming it. Refuses models and data that are not what the run
/// was planned with.
Result<TaskSet> LoadTasksOfRun(Store& store, std::int64_t run, ModelSource& models,
                               const std::filesystem::path& data);

}  // namespace h1bench

#pragma once

#include <string>
#include <vector>

#include "tasks/task.h"

namespace h1bench::tasks {

/// Fails on a limit or world size below 1 and when an option is set that `task` has no use for
/// (names as in a suite file). `allowed` holds those it takes beside seed and data.
Status CheckAllowed(const std::string& task, const TaskOptions& options,
                    const std::vector<std::string>& allowed);
/// Checks low <= value <= high unless the option is unset (-1); returns the value or the default.
Result<std::int64_t> Or(const std::string& task, const std::string& option, std::int64_t value,
                        std::int64_t fallback, std::int64_t low, std::int64_t high);
/// Temperature, top_p and repeats make sense together; copied into a request.
Status CheckSampling(const std::string& task, const TaskOptions& options);

/// What Describe() says of a task that generates without shots: the first metric is the headline,
/// chance is 0, `headline` says how subsets combine. "protocol" is the task's to add.
Json DescribeGeneration(const std::vector<std::string>& metrics, const char* headline);

/// A JSON list of strings.
Json Strings(const std::vector<std::string>& items);
/// The folder in which the task's files lie, or an error that says how to get them.
Result<std::filesystem::path> DataFolder(const TaskOptions& options, const std::string& name);

}  // namespace h1bench::tasks

#pragma once

#include <filesystem>
#include <vector>

#include "tasks/ruler/generator.h"

namespace h1bench::tasks::ruler {

/// The first `samples` rows (all when -1) of a file that upstream's scripts wrote:
/// FOLDER/LENGTH/TASK.jsonl, or as upstream lays it out FOLDER/LENGTH/TASK/validation.jsonl or
/// FOLDER/LENGTH/data/TASK/validation.jsonl. Rows have "input", "outputs" and, in newer versions,
/// "answer_prefix"; without it the whole prompt is in "input". `file` is set to the path read.
Result<std::vector<Sample>> ImportSamples(const std::filesystem::path& folder, const Job& job,
                                          std::filesystem::path& file);

/// Answers as Python's json.dumps writes them: ", " between, beyond ASCII as \uXXXX.
std::string PythonJson(const std::vector<std::string>& texts);

}  // namespace h1bench::tasks::ruler

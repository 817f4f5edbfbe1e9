#pragma once

#include <string>
#include <vector>

#include "tasks/options.h"

namespace h1bench::tasks {

/// The problems of a HumanEval file: first `options.limit` rows as documents with upstream's name,
/// the canonical solution as gold and the whole row in `data`. `keys` must be there and be strings.
/// `digest` is set to the file's.
Result<std::vector<Document>> ReadProblems(const TaskOptions& options,
                                           const std::filesystem::path& file,
                                           const std::vector<std::string>& keys,
                                           std::string& digest);

}  // namespace h1bench::tasks

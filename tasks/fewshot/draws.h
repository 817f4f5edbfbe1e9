#pragma once

#include <cstdint>
#include <vector>

namespace h1bench::tasks {

/// Rows of the worked examples of each document, as lm-eval draws them: documents are visited in
/// order, each visit draws `shots` of `rows` anew; on W ranks document d gets draw d / W. Keeping
/// the draws by document makes prompts independent of limits, batches and workers. shots <= rows.
std::vector<std::vector<std::size_t>> DrawShots(std::size_t documents, std::size_t rows,
                                                std::size_t shots, std::int64_t seed,
                                                std::int64_t world_size);

}  // namespace h1bench::tasks

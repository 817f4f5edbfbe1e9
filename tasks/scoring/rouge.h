#pragma once

#include <string_view>

namespace h1bench::tasks {

/// ROUGE-L's F-measure of a prediction (C.-Y. Lin, 2004) as Google's rouge_score computes it with
/// its stemmer: small letters, runs of a-z and 0-9 are words, those of more than three characters
/// are stemmed; precision and recall of the longest common subsequence. 0 when either has no word.
/// Words beyond the first 4 096 of either text do not count: the work is their product.
double RougeL(std::string_view prediction, std::string_view target);

}  // namespace h1bench::tasks

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace h1bench::tasks {

/// The ids of a ranking that a model wrote, best first, each once: of all runs of numbers joined by
/// ">" the longest, after brackets, colons and the letters "id" are deleted (HELMET's rule). No
/// number at all: nothing. kResourceExhausted when a work limit was hit.
Result<std::vector<std::string>> ParseRanking(std::string_view response);

/// NDCG of the first `depth` ids as trec_eval computes it (K. Jarvelin and J. Kekalainen, 2002,
/// with the relevance itself as gain): sum of relevance / log2(place + 1), over that of the best
/// order. Unknown ids have relevance 0. 0 when nothing is relevant.
double Ndcg(const std::vector<std::string>& ranking, const std::map<std::string, int>& relevance,
            std::size_t depth);

}  // namespace h1bench::tasks

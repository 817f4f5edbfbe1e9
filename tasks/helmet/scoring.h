#pragma once

#include <string>
#include <string_view>

#include "tasks/helmet/dataset.h"

/// HELMET's judge-free scores, as its utils and loaders compute them.
namespace h1bench::tasks::helmet {

/// The rest of the line behind the first `started` ("Answer:"), whatever its case; without one the
/// first line. Stripped, and freed of a second `started`.
std::string ParseOutput(std::string_view output, std::string_view started);

struct Verdict {
  std::string parsed;  // what stands for the answer
  double score = 0;    // 0 to 1
};
/// `output` begins with what the prompt left open, as upstream's does.
Result<Verdict> ScoreOutput(const Dataset& dataset, const Item& item, const std::string& output);

}  // namespace h1bench::tasks::helmet

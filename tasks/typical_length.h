#pragma once

#include <string>

namespace h1bench::tasks {

/// Tokens that an answer to `task` usually has, for the time estimated before a run; `limit` where
/// nothing is known. What a model really gave replaces it as answers come.
double TypicalAnswerTokens(const std::string& task, double limit);

}  // namespace h1bench::tasks

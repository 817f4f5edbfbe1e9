#include "tasks/typical_length.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace h1bench::tasks {

double TypicalAnswerTokens(const std::string& task, double limit) {
  // Means over the reference solutions (gsm8k_cot: of its examples), in tokens of GPT-NeoX's
  // tokenizer, and three for the stop behind: 98.2, 36.8, 62.7. A model that answers in the way of
  // its examples is stopped right there.
  static constexpr std::pair<std::string_view, double> kKnown[] = {
      {"gsm8k", 101}, {"gsm8k_cot", 40}, {"humaneval", 66}, {"humanevalplus", 66}};
  for (const auto& [name, tokens] : kKnown)
    if (task == name) return std::min(limit, tokens);
  return limit;
}

}  // namespace h1bench::tasks

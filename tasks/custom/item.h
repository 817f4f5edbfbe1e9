#pragma once

#include <string>
#include <vector>

#include "tasks/custom/table.h"

namespace h1bench::tasks::custom {

/// What a task file makes of one row of a data file.
struct Item {
  std::string question;
  std::vector<std::string> choices;  // multiple_choice
  std::size_t right = 0;             // of the choices
  std::vector<std::string> answers;  // generate_until: as the row has them; each is right
  std::vector<std::string> golds;    // the same behind answer_filters: what is compared with
  std::string subset, id;
  /// What a worked example shows: the right choice, or the first answer.
  const std::string& shown() const { return choices.empty() ? answers[0] : choices[right]; }
};

/// Errors name the row's file and line, and the task file's key and place.
Result<Item> MakeItem(const TaskFile& file, const Table& table, std::size_t row);

}  // namespace h1bench::tasks::custom

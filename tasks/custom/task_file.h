#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "tasks/custom/steps.h"
#include "tasks/custom/template.h"
#include "tasks/scoring/text_match.h"

/// What a task file says. docs/custom-tasks.md is the reference of its keys.
namespace h1bench::tasks::custom {

/// The key that something was read from and where it stands (FILE:LINE:COLUMN), for errors.
struct Origin {
  std::string key, place;
};

struct DataFile {
  std::string name;            // as written
  std::filesystem::path path;  // from the task file's folder
  Origin origin;
};

/// The choices of a row: a field that holds a list, or a text for each.
struct Choices {
  std::optional<FieldPath> list;
  std::vector<Template> texts;
  Origin origin;
};

/// generate_until: the right answer, or a list of which each is right. multiple_choice: which
/// choice is right, by number or by label.
struct Answer {
  std::optional<FieldPath> field;
  std::int64_t from = 0;  // number of the first choice
  std::optional<FieldPath> labels_field;
  std::vector<std::string> labels;
  Origin origin;
};

struct Shots {
  std::optional<DataFile> data;
  std::int64_t count = 0;
  bool draw = true;                  // anew for each document; else the first rows
  std::optional<std::int64_t> seed;  // else the suite's
};

struct TaskFile {
  std::string name;
  bool multiple_choice = false;
  DataFile data;
  std::optional<Template> system;
  std::optional<Template> prompt;  // always there
  Origin system_origin, prompt_origin;
  std::vector<Step> clean;  // of prompts and choices
  Choices choices;
  Answer answer;
  Shots shots;
  std::vector<Step> filters, answer_filters;
  std::vector<std::string> stops;
  std::int64_t max_new_tokens = 256;
  std::vector<std::string> metrics;  // the first is the primary one
  Ignore ignore;
  std::optional<FieldPath> subset, id;
  Origin subset_origin, id_origin;
};

/// `file` is used for errors and to resolve paths. Errors: "FILE:LINE:COLUMN: key: ...".
Result<TaskFile> ParseTaskFile(const std::string& text, const std::filesystem::path& file);

}  // namespace h1bench::tasks::custom

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace h1bench {

struct SuiteModel {
  std::string name;                     // as reports print it; default: the folder's name
  std::filesystem::path path;           // relative paths are relative to the suite file
  std::vector<std::string> precisions;  // default: bf16
  std::int64_t max_length = 0;          // 0: the model's max_position_embeddings
  int line = 0;
};

struct SuiteTask {
  std::string name;  // unique in the suite; default: the task's name
  std::string task;  // a name of tasks::TaskNames()
  Json options;      // object: the other keys as written (shots, limit, ...), types checked
  int line = 0;
};

/// models x precisions x tasks. docs/suite.md is the reference of the file.
struct Suite {
  std::string name;
  std::string description;  // shown on top of every report; may be empty
  std::vector<SuiteModel> models;
  std::vector<SuiteTask> tasks;
  std::int64_t seed = 1234;
  std::filesystem::path data;  // folder of the benchmark files; empty: the command line's
  std::string text;            // the file's bytes, for the store
};

/// `file` is used for errors and to resolve paths. Errors: "FILE:LINE:COLUMN: key: expected ...,
/// found ...".
Result<Suite> ParseSuite(const std::string& text, const std::filesystem::path& file);
Result<Suite> LoadSuite(const std::filesystem::path& file);

}  // namespace h1bench

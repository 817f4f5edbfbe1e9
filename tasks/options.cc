#include "tasks/options.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "tasks/switches.h"

namespace h1bench::tasks {

Status CheckAllowed(const std::string& task, const TaskOptions& options,
                    const std::vector<std::string>& allowed) {
  std::vector<std::pair<const char*, bool>> set = {
      {"shots", options.shots != -1},
      {"subjects", !options.subjects.empty()},
      {"limit", options.limit != -1},
      {"max_new_tokens", options.max_new_tokens != -1},
      {"repeats", options.repeats != 1},
      {"temperature", options.temperature != 0},
      {"top_p", options.top_p != 1},
      {"fewshot_world_size", options.fewshot_world_size != 1},
      {"lengths", !options.lengths.empty()},
      {"depths", !options.depths.empty()},
      {"samples", options.samples != -1},
      {"ruler_variant", !options.ruler_variant.empty()},
      {"ruler_qa", !options.ruler_qa.empty()},
      {"ruler_files", !options.ruler_files.empty()},
      {"chat", !options.chat.empty()},
      {"system", !options.system.empty()},
  };
  for (const Switch& one : Switches()) {
    const std::string& value = options.*one.member;
    if (one.member != &TaskOptions::bos) set.emplace_back(one.key, !value.empty());  // of all tasks
    if (!value.empty() &&
        std::find(one.values.begin(), one.values.end(), value) == one.values.end())
      return InvalidArgument("task {}: {}: expected {}, found \"{}\"", task, one.key,
                             fmt::join(one.values, " or "), VisibleText(value));
  }
  for (const auto& [name, is_set] : set) {
    if (is_set && std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
      return InvalidArgument("task {}: the option {} does not apply. It takes: {}", task, name,
                             fmt::join(allowed, " "));
    }
  }
  if (options.limit != -1 && options.limit < 1)
    return InvalidArgument("task {}: limit: expected 1 or more, found {}", task, options.limit);
  if (options.fewshot_world_size < 1)
    return InvalidArgument("task {}: fewshot_world_size: expected 1 or more, found {}", task,
                           options.fewshot_world_size);
  return Status::Ok();
}

Result<std::int64_t> Or(const std::string& task, const std::string& option, std::int64_t value,
                        std::int64_t fallback, std::int64_t low, std::int64_t high) {
  if (value == -1) return fallback;
  if (value < low || value > high)
    return InvalidArgument("task {}: {}: expected {} to {}, found {}", task, option, low, high,
                           value);
  return value;
}

Status CheckSampling(const std::string& task, const TaskOptions& options) {
  if (!(options.temperature >= 0 && std::isfinite(options.temperature)))
    return InvalidArgument("task {}: temperature: expected 0 or more, found {}", task,
                           options.temperature);
  if (!(options.top_p > 0 && options.top_p <= 1))
    return InvalidArgument("task {}: top_p: expected above 0 and at most 1, found {}", task,
                           options.top_p);
  if (options.repeats < 1 || options.repeats > 1000)
    return InvalidArgument("task {}: repeats: expected 1 to 1000, found {}", task, options.repeats);
  if (options.repeats > 1 && options.temperature == 0) {
    return InvalidArgument(
        "task {}: repeats: {} greedy answers to one prompt are all the same. Set a temperature, "
        "for example 0.2.",
        task, options.repeats);
  }
  return Status::Ok();
}

Json DescribeGeneration(const std::vector<std::string>& metrics, const char* headline) {
  Json json;
  json.Set("kind", "generate_until")
      .Set("shots", 0)
      .Set("primary", metrics.front())
      .Set("metrics", Strings(metrics))
      .Set("chance", 0.0);
  return json.Set("groups", Json(Json::Object{})).Set("headline", headline).Set("version", 1);
}

Json Strings(const std::vector<std::string>& items) {
  Json list{Json::Array{}};
  for (const std::string& item : items) list.Push(item);
  return list;
}

Result<std::filesystem::path> DataFolder(const TaskOptions& options, const std::string& name) {
  const std::filesystem::path folder = options.data / name;
  std::error_code error;
  if (std::filesystem::is_directory(folder, error)) return folder;
  return NotFound(
      "{}: no such folder. `h1bench data fetch` brings the benchmark files; --data DIR names "
      "another place.",
      folder.string());
}

}  // namespace h1bench::tasks

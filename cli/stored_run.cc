#include "cli/stored_run.h"

#include "base/json.h"

namespace h1bench::cli {

Result<KeptOptions> ReadKept(const RunRow& run) {
  const Result<Json> json = ParseJson(run.options_json);
  if (!json.ok()) return Corrupt("run {}: options_json: {}", run.id, json.status().message());
  const auto text = [&](const char* key) {
    const Json* value = json->Find(key);
    return value != nullptr && value->is_string() ? value->as_string() : std::string();
  };
  return KeptOptions{text("engine"), text("identity"), text("data")};
}

void AddRunPositional(CLI::App& app, std::string& run, const std::string& when_absent) {
  app.add_option("RUN", run,
                 "Name of the run, its beginning, or its number; default: " + when_absent);
}

void AddRunOption(CLI::App& app, std::string& run) {
  app.add_option("--run", run,
                 "Name of the run, its beginning, or its number; default: the newest");
}

Result<std::filesystem::path> NewestDatabase() {
  std::filesystem::path newest;
  std::filesystem::file_time_type time{};
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("h1bench-results", error)) {
    if (entry.path().extension() != ".db") continue;
    const auto written = entry.last_write_time(error);
    if (!newest.empty() && written <= time) continue;
    newest = entry.path();
    time = written;
  }
  if (newest.empty())
    return NotFound("there is no database in h1bench-results/ here; say which with --db FILE");
  return newest;
}

}  // namespace h1bench::cli

#include <cstdio>
#include <future>
#include <map>

#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/task_options.h"
#include "tasks/sandbox/judge.h"

namespace h1bench::cli {
namespace {

/// Programs handed to the judge ahead of the one whose score is printed next.
constexpr std::size_t kAhead = 8;

struct Options {
  TaskArguments task;
  std::string responses;
  bool json = false;
};

struct Row {
  const tasks::Document* document;
  std::string response;
  bool by_task_id;
};

/// One row of the responses file, matched to its document.
Result<Row> ReadRow(const std::string& line, const std::string& place,
                    const std::map<std::int64_t, const tasks::Document*>& by_index,
                    const std::map<std::string, const tasks::Document*>& by_id) {
  auto json = ParseJson(line);
  if (!json.ok()) return json.status().WithContext(place);
  const Json* response = json->Find("response");
  if (response == nullptr || !response->is_string())
    return InvalidArgument("{}: expected the key \"response\" with a string", place);
  if (const Json* id = json->Find("task_id"); id != nullptr && id->is_string()) {
    const auto found = by_id.find(id->as_string());
    if (found == by_id.end())
      return InvalidArgument("{}: task_id: there is no document \"{}\"", place,
                             VisibleText(id->as_string()));
    return Row{found->second, response->as_string(), true};
  }
  const Json* index = json->Find("index");
  if (index == nullptr || !index->is_integer())
    return InvalidArgument("{}: expected \"index\" (a row number from 0) or \"task_id\"", place);
  const auto found = by_index.find(index->as_int());
  if (found == by_index.end())
    return InvalidArgument("{}: index: there is no document {}", place, index->as_int());
  return Row{found->second, response->as_string(), false};
}

Result<std::vector<Row>> ReadRows(const std::string& file, const tasks::Task& task) {
  std::map<std::int64_t, const tasks::Document*> by_index;
  std::map<std::string, const tasks::Document*> by_id;
  for (const tasks::Document& document : task.documents()) {
    by_index.emplace(document.index, &document);
    if (!document.id.empty()) by_id.emplace(document.id, &document);
  }
  H1_ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  std::vector<Row> rows;
  std::size_t number = 0;
  for (const std::string_view line : SplitLines(text)) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    H1_ASSIGN_OR_RETURN(
        Row row, ReadRow(std::string(line), fmt::format("{}:{}", file, number), by_index, by_id));
    rows.push_back(std::move(row));
  }
  return rows;
}

Json Line(const Row& row, const tasks::Score& score) {
  Json line, scores;
  if (row.by_task_id) {
    line.Set("task_id", row.document->id);
  } else {
    line.Set("index", row.document->index);
  }
  for (const auto& [metric, value] : score.scores) scores.Set(metric, value);
  line.Set("scores", scores);
  if (!score.verdict.empty()) line.Set("verdict", score.verdict).Set("detail", score.detail);
  return line;
}

Status Run(const Options& options) {
  if (options.task.task == "mmlu")
    return InvalidArgument(
        "grade: mmlu is scored by log-likelihoods, not by responses. Use `h1bench run`.");
  std::unique_ptr<tasks::CodeJudge> judge;
  if (options.task.task.rfind("humaneval", 0) == 0) {
    H1_ASSIGN_OR_RETURN(judge, tasks::LaunchJudge());
  }
  H1_ASSIGN_OR_RETURN(const auto task, LoadFromArguments(options.task));
  H1_ASSIGN_OR_RETURN(const std::vector<Row> rows, ReadRows(options.responses, *task));
  std::map<std::string, double> sums;
  std::vector<std::future<tasks::Score>> scores(rows.size());
  const std::size_t ahead = judge == nullptr ? 1 : kAhead;
  for (std::size_t i = 0; i < rows.size() + ahead; ++i) {
    if (i < rows.size()) {
      scores[i] = std::async(judge == nullptr ? std::launch::deferred : std::launch::async,
                             [&task, &judge, &row = rows[i]] {
                               tasks::Response response;
                               response.text = row.response;
                               return task->ScoreResponse(*row.document, response, judge.get());
                             });
    }
    if (i < ahead) continue;
    const tasks::Score score = scores[i - ahead].get();
    for (const auto& [metric, value] : score.scores) sums[metric] += value;
    std::printf("%s\n", WriteJson(Line(rows[i - ahead], score)).c_str());
  }
  for (const auto& [metric, sum] : sums) {
    std::fprintf(stderr, "%s: %.4f (%.0f of %zu)\n", metric.c_str(),
                 sum / static_cast<double>(rows.size()), sum, rows.size());
  }
  return Status::Ok();
}

const Command kGrade("grade", "Score responses that any engine made", [](CLI::App& app) {
  auto options = std::make_shared<Options>();
  AddTaskArguments(app, options->task);
  app.add_option("RESPONSES", options->responses,
                 "JSON lines: {\"index\" or \"task_id\": ..., \"response\": ...}")
      ->required();
  app.add_flag("--json", options->json,
               "JSON lines on standard output (the only form; for symmetry)");
  app.footer(
      "Prints one JSON line a response and the means on standard error.\n\n"
      "Examples:\n  h1bench grade gsm8k responses.jsonl\n  h1bench grade humaneval "
      "completions.jsonl --data ~/data --json");
  return [options] { return Run(*options); };
});

}  // namespace
}  // namespace h1bench::cli

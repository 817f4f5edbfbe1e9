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
  tasks::Response response;
  bool by_task_id;
};

/// The answer of a row: a text, or for tasks scored by log-likelihoods a number for each choice.
Result<tasks::Response> ReadResponse(const Json& row, const std::string& place, bool choices) {
  tasks::Response out;
  if (!choices) {
    const Json* response = row.Find("response");
    if (response == nullptr || !response->is_string())
      return InvalidArgument("{}: expected the key \"response\" with a string", place);
    out.text = response->as_string();
    return out;
  }
  const Json* values = row.Find("loglikelihoods");
  if (values == nullptr || !values->is_array())
    return InvalidArgument(
        "{}: expected the key \"loglikelihoods\" with a number for each choice: the task is scored "
        "by them",
        place);
  for (const Json& value : values->as_array()) {
    if (!value.is_number())
      return InvalidArgument("{}: loglikelihoods: expected numbers, found {}", place,
                             value.TypeName());
    out.loglikelihoods.push_back(value.as_double());
  }
  return out;
}

/// Documents by row number; several when subsets have rows of one number.
using ByIndex = std::map<std::int64_t, std::vector<const tasks::Document*>>;

Result<const tasks::Document*> FindByIndex(const ByIndex& by_index, const Json& row,
                                           const std::string& place) {
  const Json* index = row.Find("index");
  if (index == nullptr || !index->is_integer())
    return InvalidArgument("{}: expected \"index\" (a row number from 0) or \"task_id\"", place);
  const Json* subset = row.Find("subset");
  const auto found = by_index.find(index->as_int());
  std::vector<const tasks::Document*> fitting;
  if (found != by_index.end()) fitting = found->second;
  if (subset != nullptr && subset->is_string()) {
    std::erase_if(fitting, [&](const auto* one) { return one->subset != subset->as_string(); });
  }
  if (fitting.size() == 1) return fitting[0];
  if (fitting.empty())
    return InvalidArgument("{}: index: there is no document {}", place, index->as_int());
  return InvalidArgument("{}: index: {} subsets have a document {}; say which: \"subset\": \"{}\"",
                         place, fitting.size(), index->as_int(), fitting[0]->subset);
}

/// One row of the responses file, matched to its document.
Result<Row> ReadRow(const std::string& line, const std::string& place, bool choices,
                    const ByIndex& by_index,
                    const std::map<std::string, std::vector<const tasks::Document*>>& by_id) {
  auto json = ParseJson(line);
  if (!json.ok()) return json.status().WithContext(place);
  H1_ASSIGN_OR_RETURN(tasks::Response response, ReadResponse(*json, place, choices));
  if (const Json* id = json->Find("task_id"); id != nullptr && id->is_string()) {
    const auto found = by_id.find(id->as_string());
    if (found == by_id.end())
      return InvalidArgument("{}: task_id: there is no document \"{}\"", place,
                             VisibleText(id->as_string()));
    if (found->second.size() == 1) return Row{found->second[0], std::move(response), true};
    if (json->Find("index") == nullptr)
      return InvalidArgument(
          "{}: task_id: {} documents have the id \"{}\"; say which: \"subset\" and \"index\"",
          place, found->second.size(), VisibleText(id->as_string()));
  }
  H1_ASSIGN_OR_RETURN(const tasks::Document* document, FindByIndex(by_index, *json, place));
  return Row{document, std::move(response), false};
}

Result<std::vector<Row>> ReadRows(const std::string& file, const tasks::Task& task) {
  ByIndex by_index;
  std::map<std::string, std::vector<const tasks::Document*>> by_id;
  for (const tasks::Document& document : task.documents()) {
    by_index[document.index].push_back(&document);
    if (!document.id.empty()) by_id[document.id].push_back(&document);
  }
  H1_ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  const bool choices = task.Describe().Find("kind")->as_string() == "loglikelihood";
  std::vector<Row> rows;
  std::size_t number = 0;
  for (const std::string_view line : SplitLines(text)) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    H1_ASSIGN_OR_RETURN(Row row, ReadRow(std::string(line), fmt::format("{}:{}", file, number),
                                         choices, by_index, by_id));
    rows.push_back(std::move(row));
  }
  return rows;
}

Json Line(const Row& row, const tasks::Score& score) {
  Json line, scores;
  if (row.by_task_id) {
    line.Set("task_id", row.document->id);
  } else {
    if (!row.document->subset.empty()) line.Set("subset", row.document->subset);
    line.Set("index", row.document->index);
  }
  for (const auto& [metric, value] : score.scores) scores.Set(metric, value);
  line.Set("scores", scores);
  if (!score.verdict.empty()) line.Set("verdict", score.verdict).Set("detail", score.detail);
  return line;
}

Status Run(const Options& options) {
  H1_ASSIGN_OR_RETURN(const auto task, LoadFromArguments(options.task));
  std::unique_ptr<tasks::CodeJudge> judge;  // its launcher is forked before there are threads
  if (task->needs_judge()) {
    H1_ASSIGN_OR_RETURN(judge, tasks::LaunchJudge());
  }
  H1_ASSIGN_OR_RETURN(const std::vector<Row> rows, ReadRows(options.responses, *task));
  std::map<std::string, double> sums;
  std::vector<std::future<tasks::Score>> scores(rows.size());
  const std::size_t ahead = judge == nullptr ? 1 : kAhead;
  for (std::size_t i = 0; i < rows.size() + ahead; ++i) {
    if (i < rows.size()) {
      scores[i] = std::async(judge == nullptr ? std::launch::deferred : std::launch::async,
                             [&task, &judge, &row = rows[i]] {
                               return task->ScoreResponse(*row.document, row.response, judge.get());
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
  app.add_option(
         "RESPONSES", options->responses,
         "JSON lines: {\"index\" or \"task_id\": ..., \"response\": ...}, or \"loglikelihoods\": "
         "[...] for multiple choice")
      ->required();
  app.add_flag("--json", options->json,
               "JSON lines on standard output (the only form; for symmetry)");
  app.footer(
      "Prints one JSON line a response and the means on standard error.\n\n"
      "Examples:\n  h1bench grade gsm8k responses.jsonl\n  h1bench grade humaneval "
      "completions.jsonl --data ~/data --json\n  h1bench grade demo/tasks/triviaqa.yaml "
      "responses.jsonl");
  return [options] { return Run(*options); };
});

}  // namespace
}  // namespace h1bench::cli

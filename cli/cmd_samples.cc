#include <cstdio>
#include <map>

#include "base/json.h"
#include "cli/command.h"
#include "cli/stored_run.h"
#include "harness/store/run_names.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string database, run;
};

Json Numbers(const std::vector<double>& values) {
  Json list{Json::Array{}};
  for (const double value : values) list.Push(value);
  return list;
}

Json Ids(const std::vector<std::int32_t>& ids) {
  Json list{Json::Array{}};
  for (const std::int32_t id : ids) list.Push(static_cast<std::int64_t>(id));
  return list;
}

/// A task with several filters keeps its answers as a JSON object.
Json Extracted(const ScoreRow& score) {
  if (!score.extracted.empty() && score.extracted[0] == '{') {
    auto json = ParseJson(score.extracted);
    if (json.ok() && json->is_object()) return *json;
  }
  return score.extracted;
}

void SetAnswer(const ResponseRow* response, Json& line) {
  if (response == nullptr) {
    line.Set("response", nullptr);
  } else if (!response->loglikelihoods.empty()) {
    Json greedy{Json::Array{}};
    for (const bool flag : response->is_greedy) greedy.Push(flag);
    line.Set("loglikelihoods", Numbers(response->loglikelihoods)).Set("is_greedy", greedy);
  } else {
    line.Set("response", response->text);
  }
}

/// Worker -> what computed its answers: build, device, its multiprocessors, driver and runtime.
using Engines = std::map<std::string, std::string>;
Result<Engines> ReadEngines(Store& store, std::int64_t run) {
  Engines out;
  H1_ASSIGN_OR_RETURN(const std::vector<WorkerRow> workers, store.Workers(run));
  for (const WorkerRow& worker : workers) {
    const auto json = ParseJson(worker.environment_json);
    const Json* engine = json.ok() && json->is_object() ? json->Find("engine") : nullptr;
    if (engine != nullptr && engine->is_string()) out[worker.worker] = engine->as_string();
  }
  return out;
}

/// The members and their order are a stable format (docs/samples in the suite reference).
Json Line(const VariantRow& variant, const RunTaskRow& task, const SampleRow& sample,
          const ResponseRow* response, const ScoreRow* score, const Engines& engines) {
  Json line, scores{Json::Object{}}, timing{Json::Object{}};
  line.Set("model", variant.model_name).Set("precision", variant.precision).Set("task", task.name);
  line.Set("subset", sample.subset.empty() ? Json() : Json(sample.subset))
      .Set("index", sample.index)
      .Set("repeat", sample.repeat);
  if (!sample.document_id.empty()) line.Set("task_id", sample.document_id);
  line.Set("prompt_sha256", sample.prompt_sha256);
  SetAnswer(response, line);
  if (score != nullptr) {
    for (const auto& [metric, value] : score->scores) scores.Set(metric, value);
    line.Set("extracted", Extracted(*score)).Set("scores", scores);
    line.Set("verdict", score->verdict.empty() ? Json() : Json(score->verdict));
  } else {
    line.Set("extracted", nullptr).Set("scores", scores).Set("verdict", nullptr);
  }
  line.Set("gold", sample.gold);
  if (response != nullptr) {
    line.Set("finish", response->finish)
        .Set("prompt_tokens", response->prompt_tokens)
        .Set("generated_tokens", response->generated_tokens);
    line.Set("truncated_tokens", response->truncated_tokens)
        .Set("first_ids", Ids(response->first_ids))
        .Set("last_ids", Ids(response->last_ids));
    if (!response->error.empty()) line.Set("error", response->error);
    timing.Set("queue_seconds", response->queue_seconds)
        .Set("prefill_seconds", response->prefill_seconds);
    if (response->generated_tokens > 0)
      timing.Set("ttft_seconds", response->queue_seconds + response->prefill_seconds);
    timing.Set("decode_seconds", response->decode_seconds)
        .Set("reused_tokens", response->reused_tokens)
        .Set("worker", response->worker);
    if (const auto engine = engines.find(response->worker); engine != engines.end())
      timing.Set("engine", engine->second);
    if (!response->inter_token_us.empty())
      timing.Set("inter_token_us", Ids(response->inter_token_us));
  } else if (sample.losses >= kLossesToPoison) {
    line.Set("error", fmt::format("given up: {} workers died on it", sample.losses));
  }
  if (score != nullptr && !score->detail.empty()) timing.Set("detail", score->detail);
  return line.Set("timing", timing);
}

Status Run(const Options& options) {
  H1_ASSIGN_OR_RETURN(const auto store, Store::Open(options.database, Store::Mode::kReadOnly));
  H1_ASSIGN_OR_RETURN(const NamedRun run, FindRun(*store, options.run, options.database));
  H1_ASSIGN_OR_RETURN(const Engines engines, ReadEngines(*store, run.row.id));
  return store->ForEachSample(run.row.id, [&](const VariantRow& variant, const RunTaskRow& task,
                                              const SampleRow& sample, const ResponseRow* response,
                                              const ScoreRow* score) {
    std::printf("%s\n", WriteJson(Line(variant, task, sample, response, score, engines)).c_str());
    return Status::Ok();
  });
}

const Command kSamples(
    "samples", "Print every sample of a run as JSON lines, in a fixed order", [](CLI::App& app) {
      auto options = std::make_shared<Options>();
      app.add_option("--db", options->database, "Database of the run")->required();
      AddRunOption(app, options->run);
      app.footer(
          "Order: model, precision, task, subset, index, repeat. The last member, timing, holds "
          "all that may differ\n"
          "from run to run.\n\nExamples:\n  h1bench samples --db sizes.db | head -3\n"
          "  h1bench samples --db sizes.db --run d3ab | jq 'select(.scores.acc == 0)'");
      return [options] { return Run(*options); };
    });

}  // namespace
}  // namespace h1bench::cli

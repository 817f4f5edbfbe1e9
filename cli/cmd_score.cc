#include <cstdio>
#include <iostream>
#include <map>
#include <memory>

#include "base/json.h"
#include "cli/command.h"
#include "cli/stored_run.h"
#include "cli/text_tokens.h"
#include "harness/coordinator/scorer.h"
#include "harness/store/lock.h"
#include "harness/store/run_names.h"
#include "runner/tokenizer/tokenizer.h"
#include "tasks/sandbox/judge.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string database, data, run;
  bool json = false;
};

/// What scoring needs of a model, from the database: no engine, no weights. Its tokenizer is opened
/// only where the folder is still there, for tasks that fill a context length.
class StoredModels final : public ModelSource {
 public:
  explicit StoredModels(const std::vector<VariantRow>& variants) : variants_(variants) {}
  Result<ModelFacts> Read(const std::filesystem::path& folder) override {
    ModelFacts facts;
    facts.chat = Status::Ok();  // it was asked already
    for (const VariantRow& variant : variants_) {
      if (variant.model_path == folder.string()) facts.digest = variant.model_digest;
    }
    Result<Tokenizer> tokenizer = Tokenizer::Open(folder);
    if (!tokenizer.ok()) return facts;
    TextTokens tokens = TokensOf(std::move(tokenizer).value());
    facts.count_tokens = std::move(tokens.count);
    facts.cut_tokens = std::move(tokens.cut);
    return facts;
  }
  std::string Identity() override { return "score"; }

 private:
  const std::vector<VariantRow>& variants_;
};

/// One metric of one model and task, before and after.
struct Change {
  double before = 0, after = 0;
  std::int64_t samples = 0, changed = 0;
};
using Changes = std::map<std::string, Change>;  // "model precision task metric"

std::string Joined(const VariantRow& variant, const RunTaskRow& task, const std::string& metric) {
  return fmt::format("{} {} {} {}", variant.model_name, variant.precision, task.name, metric);
}

/// The newest score of every sample, by sample and metric.
Result<std::map<std::int64_t, ScoreRow>> NewestScores(Store& store, std::int64_t run) {
  std::map<std::int64_t, ScoreRow> out;
  H1_RETURN_IF_ERROR(
      store.ForEachSample(run, [&](const VariantRow&, const RunTaskRow&, const SampleRow& sample,
                                   const ResponseRow*, const ScoreRow* score) {
        if (score != nullptr) out[sample.id] = *score;
        return Status::Ok();
      }));
  return out;
}

/// Scores every stored response under `version`; judged one after the other.
Status ScoreAll(Store& store, std::int64_t run, std::int64_t version,
                const std::shared_ptr<const TaskSet>& tasks, tasks::CodeJudge* judge) {
  std::vector<ScoreRow> scores;
  H1_RETURN_IF_ERROR(store.ForEachUnscored(
      run, version, [&](const SampleRow& sample, const ResponseRow* response) {
        if (response == nullptr || !response->error.empty()) return Status::Ok();
        const ScoreJob job{run,
                           sample.id,
                           sample.run_task_id,
                           sample.variant_id,
                           sample.index,
                           sample.subset,
                           {response->text, response->loglikelihoods, response->is_greedy},
                           tasks};
        ScoreResult result = ScoreOne(job, judge);
        if (!result.score) return Status::Ok();
        result.score->version = version;
        scores.push_back(std::move(*result.score));
        return Status::Ok();
      }));
  return store.InsertScores(scores);
}

Result<Changes> Compare(Store& store, std::int64_t run,
                        const std::map<std::int64_t, ScoreRow>& before) {
  Changes changes;
  H1_RETURN_IF_ERROR(store.ForEachSample(
      run, [&](const VariantRow& variant, const RunTaskRow& task, const SampleRow& sample,
               const ResponseRow*, const ScoreRow* score) {
        const auto old = before.find(sample.id);
        if (score == nullptr || old == before.end()) return Status::Ok();
        for (std::size_t i = 0; i < score->scores.size(); ++i) {
          const auto& [metric, value] = score->scores[i];
          Change& change = changes[Joined(variant, task, metric)];
          double was = value;
          for (const auto& [name, number] : old->second.scores)
            if (name == metric) was = number;
          change.before += was;
          change.after += value;
          ++change.samples;
          change.changed += was != value || old->second.extracted != score->extracted;
        }
        return Status::Ok();
      }));
  return changes;
}

void Print(const Changes& changes, std::int64_t from, std::int64_t to, bool json) {
  Json list{Json::Array{}};
  if (!json)
    fmt::print("{:<52} {:>10} {:>10} {:>8}\n", "", fmt::format("version {}", from),
               fmt::format("version {}", to), "changed");
  for (const auto& [name, change] : changes) {
    const auto count = static_cast<double>(change.samples);
    if (json) {
      Json item;
      item.Set("what", name)
          .Set("before", change.before / count)
          .Set("after", change.after / count);
      item.Set("samples", change.samples).Set("changed", change.changed);
      list.Push(std::move(item));
    } else {
      fmt::print("{:<52} {:>9.2f}% {:>9.2f}% {:>4}/{}\n", name, 100 * change.before / count,
                 100 * change.after / count, change.changed, change.samples);
    }
  }
  if (!json) return;
  Json out;
  out.Set("from_version", from).Set("to_version", to).Set("scores", std::move(list));
  std::cout << WriteJson(out, 2) << '\n';
}

Status ScoreAgain(const Options& options) {
  // Before SQLite exists, as it is not known yet whether there is code to judge.
  Result<std::unique_ptr<tasks::CodeJudge>> judge = tasks::LaunchJudge();
  if (!std::filesystem::exists(options.database))
    return NotFound("{}: there is no such database", options.database);
  H1_ASSIGN_OR_RETURN(const RunLock lock, RunLock::Acquire(options.database));
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store,
                      Store::Open(options.database, Store::Mode::kReadWrite));
  H1_ASSIGN_OR_RETURN(const NamedRun found, FindRun(*store, options.run, options.database));
  const RunRow& row = found.row;
  const std::int64_t run = row.id;
  H1_ASSIGN_OR_RETURN(const KeptOptions kept, ReadKept(row));
  H1_ASSIGN_OR_RETURN(const std::vector<VariantRow> variants, store->Variants(run));
  StoredModels models(variants);
  H1_ASSIGN_OR_RETURN(
      TaskSet loaded,
      LoadTasksOfRun(*store, run, models, options.data.empty() ? kept.data : options.data));
  if (loaded.NeedsJudge() && !judge.ok()) return judge.status();
  const auto tasks = std::make_shared<const TaskSet>(std::move(loaded));
  H1_ASSIGN_OR_RETURN(const auto before, NewestScores(*store, run));
  std::int64_t newest = 0;
  for (const auto& [sample, score] : before) newest = std::max(newest, score.version);
  if (newest == 0)
    return FailedPrecondition("run {} has no scores yet: resume it first", found.name);
  H1_RETURN_IF_ERROR(ScoreAll(*store, run, newest + 1, tasks, judge.ok() ? judge->get() : nullptr));
  H1_ASSIGN_OR_RETURN(const Changes changes, Compare(*store, run, before));
  Print(changes, newest, newest + 1, options.json);
  return Status::Ok();
}

const Command kScore("score", "Score stored responses again, without an engine", [](CLI::App& app) {
  auto options = std::make_shared<Options>();
  AddRunPositional(app, options->run, "the newest");
  app.add_option("--db", options->database, "The database")->required();
  app.add_option("--data", options->data,
                 "Folder of the benchmark files; default: the one that the run used");
  app.add_flag("--json", options->json, "Print the comparison as JSON");
  app.footer(
      "Extraction and scoring run anew on every stored response, under the next version; the "
      "old scores\nstay in the database, reports take the newest, name its version and list "
      "what the earlier ones came to.\nModel folders are read only for their tokenizer, by tasks "
      "that fill a context length.\n"
      "Examples:\n  h1bench score --db sizes.db\n  h1bench score d3ab --db sizes.db --json");
  return [options] { return ScoreAgain(*options); };
});

}  // namespace
}  // namespace h1bench::cli

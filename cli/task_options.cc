#include "cli/task_options.h"

#include <algorithm>

#include "cli/text_tokens.h"
#include "runner/tokenizer/tokenizer.h"
#include "tasks/data/manifest.h"
#include "tasks/switches.h"

namespace h1bench::cli {

namespace {

/// Of niah and ruler.
void AddLongContext(CLI::App& app, tasks::TaskOptions& options) {
  constexpr const char* kGroup = "Long context";
  app.add_option("--lengths", options.lengths, "niah, ruler, helmet: context lengths in tokens")
      ->delimiter(',')
      ->group(kGroup);
  app.add_option("--depths", options.depths, "niah: depths in percent")
      ->delimiter(',')
      ->group(kGroup);
  app.add_option(
         "--samples", options.samples,
         "niah: needles a cell; ruler: samples a task and length; helmet: questions a data set")
      ->group(kGroup);
  app.add_option("--ruler-variant", options.ruler_variant, "ruler: nvidia (default) or lm-eval")
      ->group(kGroup);
  app.add_option("--ruler-qa", options.ruler_qa,
                 "ruler: max over the answers of a question (default) or their mean")
      ->group(kGroup);
  app.add_option("--ruler-files", options.ruler_files,
                 "ruler: folder with the JSON lines of upstream's scripts, LENGTH/TASK.jsonl")
      ->group(kGroup);
}

}  // namespace

void AddTaskArguments(CLI::App& app, TaskArguments& arguments) {
  std::string names = "One of:";
  for (const std::string& name : tasks::TaskNames()) names += " " + name;
  names += "; or a task file of your own that ends in .yaml";
  tasks::TaskOptions& options = arguments.options;
  app.add_option("TASK", arguments.task, names)->required();
  app.add_option("--data", arguments.data, "Folder of the benchmark files")
      ->default_str("~/.local/share/h1bench/data");
  constexpr const char* kShots = "Few-shot";
  app.add_option("--shots", options.shots, "Worked examples in front (default: the task's)")
      ->group(kShots);
  app.add_option("--seed", options.seed, "Seed of the few-shot draws")
      ->capture_default_str()
      ->group(kShots);
  app.add_option("--fewshot-world-size", options.fewshot_world_size,
                 "Draw shots as lm-eval does on so many ranks")
      ->capture_default_str()
      ->group(kShots);
  app.add_option("--subjects", options.subjects,
                 "mmlu: subjects; ruler: tasks; helmet: data sets, categories (default: all)")
      ->delimiter(',');
  app.add_option("--limit", options.limit, "First documents of each subset only");
  AddLongContext(app, options);
  app.add_flag("--chat", arguments.chat,
               "With the chat template: shots and question in one user message (all but "
               "humanevalplus)")
      ->group("Chat");
  app.add_option("--system", options.system,
                 "A system prompt: the system message with --chat, else in front of the text")
      ->group("Chat");
  app.add_flag("--multiturn", arguments.multiturn, "With --chat: every shot as two messages")
      ->group("Chat");
  for (const tasks::Switch& one : tasks::Switches()) {
    if (one.of_engine) continue;
    std::string name = "--" + std::string(one.key);
    std::replace(name.begin(), name.end(), '_', '-');
    app.add_option(name, options.*one.member, one.help)
        ->check(CLI::IsMember(one.values))
        ->default_str(one.values.front())
        ->group("Parity with published numbers");
  }
  app.add_option("--model", arguments.model,
                 "niah, ruler, helmet, --mmlu-prompt original: folder or tokenizer.json that "
                 "counts the tokens");
}

Result<std::unique_ptr<tasks::Task>> LoadFromArguments(const TaskArguments& arguments) {
  tasks::TaskOptions options = arguments.options;
  options.data =
      arguments.data.empty() ? tasks::DefaultDataFolder() : std::filesystem::path(arguments.data);
  if (arguments.multiturn && !arguments.chat)
    return InvalidArgument("--multiturn says how --chat asks: give both");
  if (arguments.chat) options.chat = arguments.multiturn ? "multiturn" : "single";
  if (!arguments.model.empty()) {
    H1_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Open(arguments.model));
    TextTokens tokens = TokensOf(std::move(tokenizer));
    options.count_tokens = std::move(tokens.count);
    options.cut_tokens = std::move(tokens.cut);
  }
  return tasks::LoadTask(arguments.task, options);
}

}  // namespace h1bench::cli

#include <cstdio>

#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/task_options.h"

namespace h1bench::cli {
namespace {

struct Options {
  TaskArguments task;
  bool sha256 = false, json = false;
  std::int64_t show = -1;
};

void PrintHash(const tasks::Document& document, const std::string& prompt, bool json) {
  const std::size_t characters = CountCodePoints(prompt);
  if (json) {
    Json line;
    if (!document.subset.empty()) line.Set("subset", document.subset);
    line.Set("index", document.index)
        .Set("characters", static_cast<std::uint64_t>(characters))
        .Set("prompt_sha256", Sha256Hex(prompt));
    std::printf("%s\n", WriteJson(line).c_str());
    return;
  }
  const std::string subset = document.subset.empty() ? "" : document.subset + "\t";
  std::printf("%s%lld\t%zu\t%s\n", subset.c_str(), static_cast<long long>(document.index),
              characters, Sha256Hex(prompt).c_str());
}

Status Run(const Options& options) {
  H1_ASSIGN_OR_RETURN(const auto task, LoadFromArguments(options.task));
  const auto& documents = task->documents();
  if (options.show >= 0) {
    if (options.show >= static_cast<std::int64_t>(documents.size())) {
      return InvalidArgument("--show: expected a document from 0 to {}, found {}",
                             documents.size() - 1, options.show);
    }
    const tasks::Request request =
        task->BuildRequest(documents[static_cast<std::size_t>(options.show)]);
    std::fwrite(request.context.data(), 1, request.context.size(), stdout);
    return Status::Ok();
  }
  if (!options.sha256)
    return InvalidArgument(
        "say --sha256 for the hashes of all prompts or --show DOC for one prompt");
  for (const tasks::Document& document : documents)
    PrintHash(document, task->BuildRequest(document).context, options.json);
  return Status::Ok();
}

const Command kPrompts(
    "prompts", "What a task asks: the bytes of a prompt, or the SHA-256 of all", [](CLI::App& app) {
      auto options = std::make_shared<Options>();
      AddTaskArguments(app, options->task);
      app.add_flag(
          "--sha256", options->sha256,
          "Print [subset] document, characters and SHA-256 of every prompt, tab-separated");
      app.add_option("--show", options->show,
                     "Print the prompt of one document, counted from 0 over all subsets");
      app.add_flag("--json", options->json, "Hashes as JSON lines");
      app.footer(
          "Examples:\n  h1bench prompts gsm8k --sha256 | head\n  h1bench prompts mmlu --subjects "
          "anatomy --shots 0 --show 3");
      return [options] { return Run(*options); };
    });

}  // namespace
}  // namespace h1bench::cli

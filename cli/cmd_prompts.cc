#include <cstdio>
#include <optional>

#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/task_options.h"
#include "tasks/ruler/import.h"

namespace h1bench::cli {
namespace {

struct Options {
  TaskArguments task;
  bool sha256 = false, json = false;
  std::int64_t show = -1;
};

/// What RULER's own files hold of a sample: hash of the text without the prefix, hash of the
/// answers as Python's json.dumps writes them, length in tokens.
struct RulerColumns {
  std::string input, outputs;
  std::int64_t length = 0;
};

std::optional<RulerColumns> Columns(const tasks::Document& document) {
  const Json* input = document.data.Find("input");
  const Json* outputs = document.data.Find("outputs");
  const Json* length = document.data.Find("length");
  if (input == nullptr || outputs == nullptr || length == nullptr) return std::nullopt;
  std::vector<std::string> answers;
  for (const Json& answer : outputs->as_array()) answers.push_back(answer.as_string());
  return RulerColumns{Sha256Hex(input->as_string()), Sha256Hex(tasks::ruler::PythonJson(answers)),
                      length->as_int()};
}

void PrintHash(const tasks::Document& document, const std::string& prompt, bool json) {
  const std::size_t characters = CountCodePoints(prompt);
  const std::optional<RulerColumns> columns = Columns(document);
  if (json) {
    Json line;
    if (!document.subset.empty()) line.Set("subset", document.subset);
    line.Set("index", document.index)
        .Set("characters", static_cast<std::uint64_t>(characters))
        .Set("prompt_sha256", Sha256Hex(prompt));
    if (columns) {
      line.Set("input_sha256", columns->input)
          .Set("outputs_sha256", columns->outputs)
          .Set("length", columns->length);
    }
    std::printf("%s\n", WriteJson(line).c_str());
    return;
  }
  const std::string subset = document.subset.empty() ? "" : document.subset + "\t";
  const std::string more =
      columns ? fmt::format("\t{}\t{}\t{}", columns->input, columns->outputs, columns->length) : "";
  std::printf("%s%lld\t%zu\t%s%s\n", subset.c_str(), static_cast<long long>(document.index),
              characters, Sha256Hex(prompt).c_str(), more.c_str());
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
          "Print [subset] document, characters and SHA-256 of every prompt, tab-separated (ruler: "
          "also SHA-256 of upstream's input and outputs, and the length in tokens)");
      app.add_option("--show", options->show,
                     "Print the prompt of one document, counted from 0 over all subsets");
      app.add_flag("--json", options->json, "Hashes as JSON lines");
      app.footer(
          "Examples:\n  h1bench prompts gsm8k --sha256 | head\n  h1bench prompts mmlu --subjects "
          "anatomy --shots 0 --show 3\n  h1bench prompts ruler --lengths 4096 --samples 6 "
          "--subjects vt "
          "--model tokenizer.json --sha256");
      return [options] { return Run(*options); };
    });

}  // namespace
}  // namespace h1bench::cli

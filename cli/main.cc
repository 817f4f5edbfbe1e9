#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "base/json.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/version.h"

namespace h1bench::cli {
namespace {

std::vector<const Command*>& Registry() {
  static std::vector<const Command*> commands;
  return commands;
}

/// What somebody sees who types the program's name alone.
constexpr const char* kFirstSteps =
    "h1bench: which Falcon-H1 is best for my accuracy, memory, speed and energy budget?\n\n"
    "  h1bench data fetch                  download the benchmark files, checked by digest\n"
    "  h1bench model info DIR              what a checkpoint is and what fits into memory\n"
    "  h1bench run SUITE.yaml              evaluate models on tasks: progress, then a leaderboard\n"
    "  h1bench resume                      go on with a run that was paused or killed\n"
    "  h1bench report --db FILE            the leaderboard again; --format html for the page\n\n"
    "In a clone, `h1bench run demo/suite.yaml` needs no download. `h1bench --help` lists every\n"
    "command, `h1bench COMMAND --help` explains one.\n";

/// CLI11 says that a word was not expected; a person wants to know what was. False when the first
/// word is a command of ours.
bool SuggestCommand(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return false;
  std::vector<std::string> known;
  for (const CLI::App* command : app.get_subcommands({})) known.push_back(command->get_name());
  const std::string word = argv[1];
  if (std::find(known.begin(), known.end(), word) != known.end()) return false;
  const std::string nearest = NearestWord(word, known);
  std::fprintf(stderr, "h1bench: unknown command \"%s\".%s Known: %s\n", VisibleText(word).c_str(),
               nearest.empty() ? "" : (" Did you mean \"" + nearest + "\"?").c_str(),
               fmt::format("{}", fmt::join(known, " ")).c_str());
  return true;
}

constexpr const char* kOutOfMemory =
    "h1bench: out of memory. What was acknowledged is on disk; try a smaller --batch or --memory, "
    "fewer --workers, or a shorter max_length.\n";

/// Memory may run out on any thread; then the process ends in order, as for every other failure.
[[noreturn]] void OnTerminate() {
  try {
    if (const std::exception_ptr error = std::current_exception()) std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    std::fputs(kOutOfMemory, stderr);
    _exit(ExitCode({StatusCode::kResourceExhausted, ""}));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "h1bench: a bug, please report it: %s\n", error.what());
  } catch (...) {
  }
  std::abort();
}

int RunChosen(const Command::Run& chosen) {
  try {
    const Status status = chosen();
    if (!status.ok()) std::fprintf(stderr, "h1bench: %s\n", status.message().c_str());
    return ExitCode(status);
  } catch (const std::bad_alloc&) {
    std::fputs(kOutOfMemory, stderr);
    return ExitCode({StatusCode::kResourceExhausted, ""});
  }
}

int Main(int argc, char** argv) {
  std::set_terminate(OnTerminate);
  SetBuildInfo(CompiledBuildInfo());
  CLI::App app("h1bench: which Falcon-H1 is best for my accuracy, memory, speed and energy budget?",
               "h1bench");
  app.require_subcommand(0, 1);
  app.set_help_all_flag("--help-all", "Help of every subcommand");
  bool version = false;
  bool json = false;
  app.add_flag("--version", version,
               "Version, revision, digest of the sources, backends, libraries");
  app.add_flag("--json", json, "With --version: one JSON object");
  app.footer(
      "Examples:\n  h1bench run demo/suite.yaml --workers 2\n  h1bench --version --json\n\nExit "
      "codes: 0 "
      "done, 2 bad usage or input, 3 not found, 4 damaged or not supported, 5 I/O, memory or a "
      "peer "
      "gone, 130 paused, 70 a bug of ours.");
  Command::Run chosen;
  for (const Command* command : Command::All()) {
    CLI::App* sub = app.add_subcommand(command->name(), command->description());
    Command::Run run = command->setup()(*sub);
    sub->callback([&chosen, run] { chosen = run; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ExtrasError& error) {
    if (SuggestCommand(app, argc, argv)) return 2;
    app.exit(error);
    return 2;
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  if (version) {
    std::fputs((json ? WriteJson(VersionJson(), 2) + "\n" : VersionText()).c_str(), stdout);
    return 0;
  }
  if (!chosen) {
    std::fputs(kFirstSteps, stdout);
    return 0;
  }
  return RunChosen(chosen);
}

}  // namespace

Command::Command(std::string name, std::string description, Setup setup)
    : name_(std::move(name)), description_(std::move(description)), setup_(std::move(setup)) {
  Registry().push_back(this);
}

std::vector<const Command*> Command::All() {
  std::vector<const Command*> all = Registry();
  std::sort(all.begin(), all.end(),
            [](const Command* a, const Command* b) { return a->name() < b->name(); });
  return all;
}

}  // namespace h1bench::cli

int main(int argc, char** argv) { return h1bench::cli::Main(argc, argv); }

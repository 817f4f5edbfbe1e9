#include <algorithm>
#include <cstdio>

#include "base/json.h"
#include "cli/command.h"
#include "cli/version.h"

namespace h1bench::cli {
namespace {

std::vector<const Command*>& Registry() {
  static std::vector<const Command*> commands;
  return commands;
}

int Main(int argc, char** argv) {
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
  app.footer("Example:\n  h1bench --version --json");
  Command::Run chosen;
  for (const Command* command : Command::All()) {
    CLI::App* sub = app.add_subcommand(command->name(), command->description());
    Command::Run run = command->setup()(*sub);
    sub->callback([&chosen, run] { chosen = run; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  if (version) {
    std::fputs((json ? WriteJson(VersionJson(), 2) + "\n" : VersionText()).c_str(), stdout);
    return 0;
  }
  if (!chosen) {
    std::fputs(app.help().c_str(), stdout);
    return 0;
  }
  const Status status = chosen();
  if (!status.ok()) std::fprintf(stderr, "h1bench: %s\n", status.message().c_str());
  return ExitCode(status);
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

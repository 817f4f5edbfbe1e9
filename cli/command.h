#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace h1bench::cli {

/// A subcommand registers itself: `static const Command kTokenize("tokenize", "...", setup);`.
/// `setup` adds options to its CLI::App and returns what runs when the command was chosen. Adding a
/// subcommand is adding one file cmd_NAME.cc.
class Command {
 public:
  using Run = std::function<Status()>;
  using Setup = std::function<Run(CLI::App& app)>;
  Command(std::string name, std::string description, Setup setup);

  const std::string& name() const { return name_; }
  const std::string& description() const { return description_; }
  const Setup& setup() const { return setup_; }
  /// All registered commands by name.
  static std::vector<const Command*> All();

 private:
  std::string name_;
  std::string description_;
  Setup setup_;
};

}  // namespace h1bench::cli

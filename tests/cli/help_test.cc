// What a newcomer meets: the program alone, its help, its mistakes.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "tests/cli/run_program.h"
#include "tests/paths.h"

namespace h1bench::testing {
namespace {

ProgramResult H1(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), BinaryPath().string());
  return RunProgram(arguments);
}

/// The names under "Subcommands:" of a help text.
std::vector<std::string> Subcommands(const std::string& help) {
  std::vector<std::string> names;
  const std::size_t begin = help.find("\nSubcommands:\n");
  if (begin == std::string::npos) return names;
  const std::string list = help.substr(begin, help.find("\n\n", begin) - begin);
  static const std::regex kName("\n  ([a-z]+) ");
  for (std::sregex_iterator i(list.begin(), list.end(), kName), end; i != end; ++i)
    names.push_back((*i)[1]);
  return names;
}

/// Lines that begin with "  h1bench ": the examples of a help text.
std::size_t Examples(const std::string& help) {
  std::size_t count = 0;
  for (std::size_t at = help.find("\n  h1bench "); at != std::string::npos;
       at = help.find("\n  h1bench ", at + 1))
    ++count;
  return count;
}

TEST(Help, TheProgramAloneShowsFiveCommands) {
  const ProgramResult alone = H1({});
  EXPECT_EQ(alone.exit_code, 0);
  EXPECT_EQ(Examples(alone.output), 5U) << alone.output;
  EXPECT_LT(std::count(alone.output.begin(), alone.output.end(), '\n'), 15);
}

TEST(Help, EveryCommandHasASentenceAndTwoExamples) {
  const ProgramResult all = H1({"--help"});
  const std::vector<std::string> commands = Subcommands(all.output);
  ASSERT_GT(commands.size(), 15U) << all.output;
  EXPECT_GE(Examples(all.output), 2U);
  for (const std::string& command : commands) {
    const ProgramResult help = H1({command, "--help"});
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_GE(Examples(help.output), 2U) << help.output;
    EXPECT_GT(help.output.find('\n'), 15U) << help.output;
    for (const std::string& inner : Subcommands(help.output))
      EXPECT_GE(Examples(H1({command, inner, "--help"}).output), 2U) << command << " " << inner;
  }
}

TEST(Help, AMistypedCommandIsToldTheNearestOne) {
  const ProgramResult typo = H1({"rnu", "suite.yaml"});
  EXPECT_EQ(typo.exit_code, 2);
  EXPECT_NE(typo.output.find("unknown command \"rnu\". Did you mean \"run\"? Known: bench cancel"),
            std::string::npos)
      << typo.output;
  EXPECT_EQ(H1({"run", "--wrokers", "2", "x.yaml"}).exit_code, 2);
}

TEST(Help, NoEscapesOutsideATerminal) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{{}, {"--help"}, {"--version"}})
    EXPECT_EQ(H1(arguments).output.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace h1bench::testing

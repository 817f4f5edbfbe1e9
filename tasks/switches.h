#pragma once

#include <string>
#include <vector>

#include "tasks/task.h"

/// Parity switches: where published numbers of one benchmark come from different rules, a suite
/// says which. Each is a key of a task's entry, kept with the task's options and named in its
/// protocol line.
namespace h1bench::tasks {

struct Switch {
  const char* key;                   // in a suite; on a command line with - for _
  std::string TaskOptions::*member;  // empty: the default
  std::vector<std::string> values;   // the default first
  const char* help;
  bool of_engine = false;  // changes how a request is answered and no prompt or score: suites only
};

/// All of them: suite, store, command line and checks read this one table.
const std::vector<Switch>& Switches();

/// The switches that are the engine's and no task's, put into a task's request.
void ApplySwitches(const TaskOptions& options, Request& request);
/// What every task's protocol line ends with: the system prompt, those, and the few-shot world
/// size.
/// "" or ", BOS in front, ...".
std::string SwitchNote(const TaskOptions& options);

}  // namespace h1bench::tasks

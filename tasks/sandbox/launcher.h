#pragma once

#include <string>

#include "tasks/sandbox/jail.h"
#include "tasks/sandbox/judge.h"

namespace h1bench::tasks {

/// Judges one program in two jails and waits for both to end. Runs in the launcher process.
/// `job` is {"prompt", "program", "tests", "entry_point"}; the answer {"verdict", "detail"}.
std::string JudgeOne(const JailPlan& plan, const std::string& job, double wall_seconds);

/// Answers jobs that come over `channel` (length-prefixed) until it closes; never returns.
[[noreturn]] void LauncherMain(int channel, JailPlan plan, double wall_seconds);

/// Length-prefixed messages over a socket. False at end or error.
bool SendMessage(int channel, const std::string& message);
bool ReceiveMessage(int channel, std::string& message);

}  // namespace h1bench::tasks

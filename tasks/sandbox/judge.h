#pragma once

#include <memory>

#include "base/status.h"
#include "tasks/task.h"

namespace h1bench::tasks {

struct JudgeOptions {
  int parallel = 2;           // programs judged at the same time
  double wall_seconds = 3.0;  // per program, from the moment its jail is up
};

/// Forks the launcher processes; call it first thing in main, before gRPC, SQLite or threads exist.
/// Each program is judged in two processes (the candidate's, in bubblewrap namespaces, never sees
/// tests or expected values). Before it returns the sandbox must hold against a short list of
/// attacks (attacks.h). An error says why code cannot be judged here (no bubblewrap, no user
/// namespaces, no python3, an attack that succeeded) and what to do.
Result<std::unique_ptr<CodeJudge>> LaunchJudge(const JudgeOptions& options = {});

struct JailPlan;
/// The same with jails made as `plan` says (jail.h). kUnavailable when they cannot be made.
Result<std::unique_ptr<CodeJudge>> LaunchJudgeWith(const JailPlan& plan,
                                                   const JudgeOptions& options);

}  // namespace h1bench::tasks

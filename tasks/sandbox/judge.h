#pragma once

#include <memory>

#include "base/status.h"
#include "tasks/task.h"

namespace h1bench::tasks {

struct JudgeOptions {
  int parallel = 2;           // programs judged at the same time
  double wall_seconds = 3.0;  // per program
};

/// Forks the launcher process; call it first thing in main, before gRPC, SQLite or threads exist.
/// Each program is judged in two processes (the candidate's, in bubblewrap namespaces, never sees
/// tests or expected values). An error says why code cannot be judged here (no bubblewrap, no user
/// namespaces, no python3) and what to install.
Result<std::unique_ptr<CodeJudge>> LaunchJudge(const JudgeOptions& options = {});

}  // namespace h1bench::tasks

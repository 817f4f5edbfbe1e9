#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "tasks/sandbox/jail.h"

namespace h1bench::tasks {

/// Judges programs one after another: a jail for every candidate, one for the checker, which forks
/// for every program. Lives in the launcher process.
class JudgeSlot {
 public:
  JudgeSlot(JailPlan plan, int channel) : plan_(std::move(plan)), channel_(channel) {}
  ~JudgeSlot() { StopChecker(); }
  JudgeSlot(const JudgeSlot&) = delete;

  /// `job` is {"prompt", "program", "tests", "entry_point", "data", "wall_seconds", "cpu_seconds",
  /// "memory_bytes", "message_bytes"}; the answer {"verdict", "detail", "answer"?}. Nothing of the
  /// candidate is left when it returns.
  std::string Judge(const std::string& job);

 private:
  struct Pipes;
  Status StartChecker();
  void StopChecker();
  Status Begin(const Json& job, Pipes& pipes, Jail& candidate);

  JailPlan plan_;
  int channel_;
  Jail checker_;
  int control_ = -1;  // where the checker is handed the files of a program
};

/// Answers jobs that come over `channel` (length-prefixed) until it closes; never returns.
[[noreturn]] void LauncherMain(int channel, JailPlan plan);

/// Length-prefixed messages over a socket. False at end or error.
bool SendMessage(int channel, const std::string& message);
bool ReceiveMessage(int channel, std::string& message);

}  // namespace h1bench::tasks

#pragma once

#include <span>
#include <string>

#include "tasks/task.h"

namespace h1bench::tasks {

/// A hostile program. It attacks the judgement of a small problem of ours; the sandbox holds when
/// the verdict is not "pass".
struct Attack {
  const char* name;
  const char* code;  // statements, without indentation
  bool proves;       // the program returns the right list only when its statements did not raise
  bool at_start;     // in the short list that runs before any code is judged
  bool slow;         // runs into the time limit
};

/// All attacks; a command (`h1bench sandbox`) and tests run them.
std::span<const Attack> Attacks();

/// The body of the attacked function.
std::string AttackBody(const Attack& attack);
/// One body that tries every attack of `attacks` that has `proves` and `at_start`: right when one
/// worked.
std::string CombinedBody(std::span<const Attack> attacks);
/// Judges `body` as an answer to the attacked problem.
Score JudgeBody(CodeJudge& judge, const std::string& body);
/// A right answer to it: what shows that the instrument works.
inline constexpr const char* kRightBody = "    return [helper(x) for x in values]\n";

}  // namespace h1bench::tasks

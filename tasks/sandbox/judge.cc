#include "tasks/sandbox/judge.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <mutex>
#include <vector>

#include "tasks/sandbox/attacks.h"
#include "tasks/sandbox/launcher.h"

namespace h1bench::tasks {
namespace {

struct Launcher {
  int channel = -1;
  pid_t process = -1;
  bool busy = false;
};

class TwoProcessJudge final : public CodeJudge {
 public:
  ~TwoProcessJudge() override {
    for (const Launcher& launcher : launchers_) {
      close(launcher.channel);
      waitpid(launcher.process, nullptr, 0);
    }
  }

  TwoProcessJudge(std::string profile, double wall_seconds)
      : profile_(std::move(profile)), wall_seconds_(wall_seconds) {}

  Status Start(const JailPlan& plan, int slot) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      return IoError("sandbox: socketpair: {}", std::strerror(errno));
    JailPlan own = plan;
    own.user += static_cast<uid_t>(slot);
    const pid_t child = fork();
    if (child < 0) return ResourceExhausted("sandbox: fork: {}", std::strerror(errno));
    if (child == 0) {
      close(ends[0]);
      for (const Launcher& other : launchers_) close(other.channel);
      LauncherMain(ends[1], own);
    }
    close(ends[1]);
    launchers_.push_back({ends[0], child, false});
    return Status::Ok();
  }

  std::string profile() const override { return profile_; }

  Score Judge(const std::string& prompt, const std::string& completion, const std::string& tests,
              const std::string& entry_point) override {
    CodeJob job;
    job.program = prompt + completion;
    job.prompt = prompt;
    job.tests = tests;
    job.entry_point = entry_point;
    return Run(job);
  }

  Score Run(const CodeJob& code) override {
    const double wall_seconds = code.wall_seconds > 0 ? code.wall_seconds : wall_seconds_;
    Json job;
    job.Set("prompt", code.prompt)
        .Set("program", code.program)
        .Set("tests", code.tests)
        .Set("entry_point", code.entry_point)
        .Set("data", code.data)
        .Set("wall_seconds", wall_seconds)
        .Set("cpu_seconds", static_cast<std::int64_t>(std::ceil(wall_seconds)) + 1)
        .Set("memory_bytes", code.memory_bytes)
        .Set("message_bytes", code.message_bytes);
    std::string answer;
    const std::size_t slot = Take();
    const bool answered = SendMessage(launchers_[slot].channel, WriteJson(job)) &&
                          ReceiveMessage(launchers_[slot].channel, answer);
    Give(slot);
    Score score;
    score.verdict = "sandbox_error";
    score.detail = "the launcher is gone";
    const auto json = answered ? ParseJson(answer) : Result<Json>(Internal("no answer"));
    if (json.ok() && json->Find("verdict") != nullptr && json->Find("verdict")->is_string() &&
        json->Find("detail") != nullptr && json->Find("detail")->is_string()) {
      score.verdict = json->Find("verdict")->as_string();
      score.detail = json->Find("detail")->as_string();
      if (const Json* text = json->Find("answer"); text != nullptr && text->is_string())
        score.extracted = text->as_string();
    }
    return score;
  }

 private:
  std::size_t Take() {
    std::unique_lock lock(mutex_);
    while (true) {
      for (std::size_t slot = 0; slot < launchers_.size(); ++slot) {
        if (launchers_[slot].busy) continue;
        launchers_[slot].busy = true;
        return slot;
      }
      freed_.wait(lock);
    }
  }
  void Give(std::size_t slot) {
    const std::lock_guard lock(mutex_);
    launchers_[slot].busy = false;
    freed_.notify_one();
  }

  std::string profile_;
  double wall_seconds_;
  std::vector<Launcher> launchers_;
  std::mutex mutex_;
  std::condition_variable freed_;
};

Status HoldsAgainstShortList(CodeJudge& judge) {
  std::vector<std::pair<std::string, std::string>> bodies = {
      {"one that reaches out", CombinedBody(Attacks())}};
  for (const Attack& attack : Attacks()) {
    if (attack.at_start && !attack.proves) bodies.emplace_back(attack.name, AttackBody(attack));
  }
  for (const auto& [name, body] : bodies) {
    const Score score = JudgeBody(judge, body);
    if (score.verdict == "pass" || score.verdict == "sandbox_error") {
      return FailedPrecondition(
          "code cannot be judged here: the sandbox did not hold against an attack ({}: {} {}). "
          "`h1bench sandbox` runs all attacks. Tasks with code are refused.",
          name, score.verdict, score.detail);
    }
  }
  return Status::Ok();
}

}  // namespace

Result<std::unique_ptr<CodeJudge>> LaunchJudgeWith(const JailPlan& plan,
                                                   const JudgeOptions& options) {
  auto judge = std::make_unique<TwoProcessJudge>(SandboxProfile(plan), options.wall_seconds);
  for (int slot = 0; slot < std::max(1, options.parallel); ++slot)
    H1_RETURN_IF_ERROR(judge->Start(plan, slot));
  for (const auto& [body, expected] :
       {std::pair("    return x + 1\n", "pass"), std::pair("    return x\n", "fail")}) {
    const Score score =
        judge->Judge("def f(x):\n", body, "def check(f):\n    assert f(1) == 2\n", "f");
    if (score.verdict != expected) return Unavailable("{}: {}", score.verdict, score.detail);
  }
  H1_RETURN_IF_ERROR(HoldsAgainstShortList(*judge));
  return std::unique_ptr<CodeJudge>(std::move(judge));
}

Score CodeJudge::Run(const CodeJob&) {
  Score score;
  score.verdict = "sandbox_error";
  score.detail = "this judge runs no such job";
  return score;
}

Result<std::unique_ptr<CodeJudge>> LaunchJudge(const JudgeOptions& options) {
  for (const auto& [program, package] :
       {std::pair("/usr/bin/bwrap", "bubblewrap"), std::pair("/usr/bin/python3", "python3")}) {
    if (access(program, X_OK) != 0) {
      return FailedPrecondition(
          "code cannot be judged here: {} is missing. Install it (apt install {}). Model-written "
          "code is never run without a sandbox.",
          program, package);
    }
  }
  H1_ASSIGN_OR_RETURN(JailPlan plan, MakeJailPlan());
  auto judge = LaunchJudgeWith(plan, options);
  if (!judge.ok() && judge.status().code() == StatusCode::kUnavailable && plan.change_user) {
    plan.change_user = false;  // root of a container where other users make no namespaces
    judge = LaunchJudgeWith(plan, options);
  }
  if (!judge.ok() && judge.status().code() == StatusCode::kUnavailable) {
    return FailedPrecondition(
        "code cannot be judged here: bubblewrap could not make its namespaces ({}). On Debian: "
        "sysctl kernel.unprivileged_userns_clone=1. Model-written code is never run without a "
        "sandbox.",
        judge.status().message());
  }
  return judge;
}

}  // namespace h1bench::tasks

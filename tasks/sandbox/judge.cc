#include "tasks/sandbox/judge.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <mutex>
#include <vector>

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

  Status Start(const JailPlan& plan, int slot, double wall_seconds) {
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
      LauncherMain(ends[1], own, wall_seconds);
    }
    close(ends[1]);
    launchers_.push_back({ends[0], child, false});
    return Status::Ok();
  }

  Score Judge(const std::string& prompt, const std::string& completion, const std::string& tests,
              const std::string& entry_point) override {
    Json job;
    job.Set("prompt", prompt)
        .Set("program", prompt + completion)
        .Set("tests", tests)
        .Set("entry_point", entry_point);
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

  std::vector<Launcher> launchers_;
  std::mutex mutex_;
  std::condition_variable freed_;
};

/// Does a jail of this kind run a right program and fail a wrong one?
bool Works(const JailPlan& plan, std::string& why) {
  const char* prompt = "def f(x):\n    pass\n";
  for (const auto& [body, expected] : {std::pair("def f(x):\n    return x + 1\n", "\"pass\""),
                                       std::pair("def f(x):\n    return x\n", "\"fail\"")}) {
    Json job;
    job.Set("prompt", prompt).Set("program", body).Set("entry_point", "f");
    job.Set("tests", "def check(candidate):\n    assert candidate(1) == 2\n");
    const std::string verdict = JudgeOne(plan, WriteJson(job), 10);
    if (verdict.find(expected) == std::string::npos) {
      why = verdict;
      return false;
    }
  }
  return true;
}

}  // namespace

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
  std::string why;
  JailPlan plan;
  plan.change_user = geteuid() == 0;
  if (!Works(plan, why)) {
    plan.change_user =
        false;  // root of a container that may not make user namespaces as another user
    if (!Works(plan, why)) {
      return FailedPrecondition(
          "code cannot be judged here: bubblewrap could not make its namespaces ({}). On Debian: "
          "sysctl kernel.unprivileged_userns_clone=1. Model-written code is never run without a "
          "sandbox.",
          why);
    }
  }
  auto judge = std::make_unique<TwoProcessJudge>();
  for (int slot = 0; slot < std::max(1, options.parallel); ++slot)
    H1_RETURN_IF_ERROR(judge->Start(plan, slot, options.wall_seconds));
  return std::unique_ptr<CodeJudge>(std::move(judge));
}

}  // namespace h1bench::tasks

#include "cli/run_workers.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

#include "base/text.h"

extern char** environ;

namespace h1bench::cli {
namespace {

/// A poisoned sample takes three workers with it; more than this without one answer is no sample's
/// fault.
constexpr int kDeathsInARow = 6;
constexpr std::chrono::seconds kPatience{3};

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

WorkerPool::WorkerPool(std::vector<std::string> arguments, std::filesystem::path log)
    : arguments_(std::move(arguments)), log_(std::move(log)) {}

WorkerPool::~WorkerPool() { Stop(); }

Status WorkerPool::Start(std::int64_t count, const std::vector<VariantRow>& early) {
  std::ofstream(log_, std::ios::trunc).flush();
  for (std::int64_t i = 0; i < count; ++i) {
    slots_.push_back({"local-" + std::to_string(i + 1)});
    const bool loads = i < std::ssize(early);
    H1_RETURN_IF_ERROR(Spawn(slots_.back(), loads ? &early[static_cast<std::size_t>(i)] : nullptr));
  }
  return Status::Ok();
}

void WorkerPool::Meet(const std::string& coordinator, const std::vector<std::int64_t>& early) {
  coordinator_ = coordinator;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    const std::string line = fmt::format("{} {}\n", coordinator, i < early.size() ? early[i] : 0);
    // One that is dead already is collected by Watch.
    (void)send(slot.input, line.data(), line.size(), MSG_NOSIGNAL);
    CloseInput(slot);
  }
}

void WorkerPool::CloseInput(Slot& slot) {
  if (slot.input >= 0) close(slot.input);
  slot.input = -1;
}

Status WorkerPool::Spawn(Slot& slot, const VariantRow* early) {
  const bool waits = coordinator_.empty();
  std::vector<std::string> words = {
      "h1bench", "worker",  "--coordinator", waits ? "-" : coordinator_,
      "--name",  slot.name, "--parent",      std::to_string(getpid())};
  if (early != nullptr)
    words.insert(words.end(), {"--early", early->model_path, early->model_digest, early->precision,
                               std::to_string(early->max_length)});
  words.insert(words.end(), arguments_.begin(), arguments_.end());
  int ends[2] = {-1, -1};
  if (waits && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return IoError("cannot start a worker: {}", std::strerror(errno));
  slot.input = ends[0];
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (waits)
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
  else
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log_.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  const int error =
      posix_spawn(&slot.pid, "/proc/self/exe", &actions, nullptr, Pointers(words).data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (ends[1] >= 0) close(ends[1]);
  if (error == 0) return Status::Ok();
  slot.pid = 0;
  CloseInput(slot);
  return IoError("cannot start a worker: {} (its output would go to {})", std::strerror(error),
                 log_.string());
}

void WorkerPool::Reap(Slot& slot, int status, std::int64_t done,
                      const std::function<void(const std::string&)>& lost) {
  slot.pid = 0;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    slot.finished = true;
    return;
  }
  lost(slot.name);
  slot.deaths = slot.done_at_death == done ? slot.deaths + 1 : 1;
  slot.done_at_death = done;
  // 2 to 4: the worker says that it cannot do this (wrong files, wrong engine); starting it again
  // changes nothing.
  const bool hopeless = WIFEXITED(status) && WEXITSTATUS(status) >= 2 && WEXITSTATUS(status) <= 4;
  slot.given_up = hopeless || slot.deaths >= kDeathsInARow;
}

Status WorkerPool::Watch(std::int64_t done, const std::function<void(const std::string&)>& lost) {
  bool alive = false;
  for (Slot& slot : slots_) {
    int status = 0;
    if (slot.pid != 0 && waitpid(slot.pid, &status, WNOHANG) == slot.pid) {
      Reap(slot, status, done, lost);
      if (!slot.given_up && !slot.finished) H1_RETURN_IF_ERROR(Spawn(slot));
    }
    alive = alive || slot.pid != 0 || slot.finished;
  }
  if (alive) return Status::Ok();
  return Unavailable("every worker failed. The last lines of {}:\n{}", log_.string(), LogTail());
}

void WorkerPool::Dismiss() {
  for (const Slot& slot : slots_) {
    if (slot.pid != 0) kill(slot.pid, SIGTERM);
  }
}

void WorkerPool::Stop() {
  Dismiss();
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (Slot& slot : slots_) {
    while (slot.pid != 0) {
      if (waitpid(slot.pid, nullptr, WNOHANG) != 0) {
        slot.pid = 0;
      } else if (std::chrono::steady_clock::now() > until) {
        kill(slot.pid, SIGKILL);
        waitpid(slot.pid, nullptr, 0);
        slot.pid = 0;
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    }
    CloseInput(slot);
  }
}

std::vector<pid_t> WorkerPool::pids() const {
  std::vector<pid_t> pids;
  for (const Slot& slot : slots_) {
    if (slot.pid != 0) pids.push_back(slot.pid);
  }
  return pids;
}

std::string WorkerPool::LogTail() const {
  std::ifstream in(log_);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(VisibleText(line));
  std::string text;
  for (std::size_t i = lines.size() > 5 ? lines.size() - 5 : 0; i < lines.size(); ++i)
    text += "  " + lines[i] + "\n";
  return text;
}

}  // namespace h1bench::cli

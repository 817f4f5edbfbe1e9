#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "tests/paths.h"

extern char** environ;

namespace h1bench::testing {

inline std::string ReadText(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// Waits until `condition` holds, at most `seconds`.
inline bool WaitUntil(const std::function<bool()>& condition, double seconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

/// h1bench with these arguments, running; its standard output and error go to files. Killed with
/// the object.
class Program {
 public:
  Program(const std::filesystem::path& folder, const std::string& name,
          std::vector<std::string> arguments)
      : Program(folder, name, Prepend(BinaryPath().string(), std::move(arguments)), BinaryPath()) {}
  /// Another program, with its arguments from the zeroth on.
  Program(const std::filesystem::path& folder, const std::string& name,
          std::vector<std::string> arguments, const std::filesystem::path& program)
      : out_(folder / (name + ".out")), err_(folder / (name + ".err")) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out_.c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err_.c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0644);
    EXPECT_EQ(posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Program() {
    if (pid_ != 0) {
      kill(pid_, SIGKILL);
      (void)Wait();
    }
  }
  Program(const Program&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int number) const { kill(pid_, number); }
  /// Exit code; 128 + signal when it was killed.
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  bool Ended() {
    siginfo_t info = {};
    return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
  }
  /// Processes that it started and that live.
  std::vector<pid_t> Children() const {
    std::vector<pid_t> children;
    std::istringstream list(
        ReadText("/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_) + "/children"));
    for (pid_t child = 0; list >> child;) children.push_back(child);
    return children;
  }
  /// Its worker processes (not the judge's launcher).
  std::vector<pid_t> Workers() const {
    std::vector<pid_t> workers;
    for (const pid_t child : Children()) {
      const std::string line = ReadText("/proc/" + std::to_string(child) + "/cmdline");
      if (line.find(std::string("worker\0--coordinator", 20)) != std::string::npos)
        workers.push_back(child);
    }
    return workers;
  }
  std::string out() const { return ReadText(out_); }
  std::string err() const { return ReadText(err_); }

 private:
  static std::vector<std::string> Prepend(std::string first, std::vector<std::string> rest) {
    rest.insert(rest.begin(), std::move(first));
    return rest;
  }

  std::filesystem::path out_, err_;
  pid_t pid_ = 0;
};

inline bool Alive(pid_t pid) {
  const std::string stat = ReadText("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t end = stat.rfind(')');
  return end != std::string::npos && stat.substr(end + 2, 1) != "Z";
}

}  // namespace h1bench::testing

#include "tasks/sandbox/launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "base/json.h"
#include "tasks/sandbox/programs.h"

namespace h1bench::tasks {
namespace {

constexpr std::size_t kMaxMessage = 64U << 20;
constexpr std::size_t kMaxVerdict = 64U << 10;

/// Closes its descriptors; a member set to -1 is given away.
class Pipe {
 public:
  Pipe() {
    if (pipe2(ends_.data(), O_CLOEXEC) != 0) ends_ = {-1, -1};
  }
  ~Pipe() {
    CloseRead();
    CloseWrite();
  }
  Pipe(const Pipe&) = delete;
  bool ok() const { return ends_[0] >= 0; }
  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }
  void CloseRead() { Close(ends_[0]); }
  void CloseWrite() { Close(ends_[1]); }

 private:
  static void Close(int& end) {
    if (end >= 0) close(end);
    end = -1;
  }
  std::array<int, 2> ends_ = {-1, -1};
};

/// Kills the jail (its pid namespace dies with it) and waits for it.
struct Jail {
  pid_t process = -1;
  ~Jail() {
    if (process <= 0) return;
    kill(process, SIGKILL);
    waitpid(process, nullptr, 0);
  }
};

std::string Verdict(const char* verdict, const std::string& detail) {
  Json json;
  json.Set("verdict", verdict).Set("detail", detail);
  return WriteJson(json);
}

Result<pid_t> StartWithJob(const JailPlan& plan, const std::string& script, const Json& job,
                           JailFiles files) {
  H1_ASSIGN_OR_RETURN(files.job, MakeFile(WriteJson(job)));
  auto started = StartJail(plan, script, files);
  close(files.job);
  return started;
}

Json Pick(const Json& job, std::initializer_list<const char*> keys) {
  Json part;
  for (const char* key : keys) part.Set(key, *job.Find(key));
  return part;
}

/// Reads the checker's verdict line; nothing at the deadline, an empty text when the checker ended
/// without one.
std::optional<std::string> AwaitVerdict(int file, std::chrono::steady_clock::time_point deadline) {
  std::string text;
  while (text.find('\n') == std::string::npos && text.size() < kMaxVerdict) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                          deadline - std::chrono::steady_clock::now())
                          .count();
    if (left <= 0) return std::nullopt;
    pollfd waiting = {file, POLLIN, 0};
    if (poll(&waiting, 1, static_cast<int>(left)) <= 0) continue;
    char block[4096];
    const ssize_t count = read(file, block, sizeof(block));
    if (count <= 0) return "";
    text.append(block, static_cast<std::size_t>(count));
  }
  return text;
}

}  // namespace

std::string JudgeOne(const JailPlan& plan, const std::string& text, double wall_seconds) {
  auto job = ParseJson(text);
  if (!job.ok()) return Verdict("sandbox_error", job.status().message());
  Pipe calls, replies, verdicts;
  if (!calls.ok() || !replies.ok() || !verdicts.ok())
    return Verdict("sandbox_error", "no file descriptors left");
  const auto deadline = std::chrono::steady_clock::now() +
                        std::chrono::milliseconds(static_cast<std::int64_t>(wall_seconds * 1000));

  Jail candidate, checker;
  auto started = StartWithJob(plan, kCandidateProgram, Pick(*job, {"program", "entry_point"}),
                              {calls.read_end(), replies.write_end(), -1, -1});
  if (!started.ok()) return Verdict("sandbox_error", started.status().message());
  candidate.process = *started;
  calls.CloseRead();
  replies.CloseWrite();
  started = StartWithJob(plan, kCheckerProgram, Pick(*job, {"prompt", "tests", "entry_point"}),
                         {replies.read_end(), calls.write_end(), -1, verdicts.write_end()});
  if (!started.ok()) return Verdict("sandbox_error", started.status().message());
  checker.process = *started;
  calls.CloseWrite();
  replies.CloseRead();
  verdicts.CloseWrite();

  const auto verdict = AwaitVerdict(verdicts.read_end(), deadline);
  if (!verdict) return Verdict("timeout", fmt::format("longer than {} s", wall_seconds));
  if (verdict->empty()) return Verdict("sandbox_error", "the checker ended without a verdict");
  return verdict->substr(0, verdict->find('\n'));
}

bool SendMessage(int channel, const std::string& message) {
  const auto size = static_cast<std::uint32_t>(message.size());
  std::string frame(reinterpret_cast<const char*>(&size), sizeof(size));
  frame += message;
  for (std::size_t done = 0; done < frame.size();) {
    const ssize_t sent = send(channel, frame.data() + done, frame.size() - done, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    done += static_cast<std::size_t>(sent);
  }
  return true;
}

namespace {
bool ReceiveExactly(int channel, char* bytes, std::size_t count) {
  while (count > 0) {
    const ssize_t got = recv(channel, bytes, count, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes += got;
    count -= static_cast<std::size_t>(got);
  }
  return true;
}
}  // namespace

bool ReceiveMessage(int channel, std::string& message) {
  std::uint32_t size = 0;
  if (!ReceiveExactly(channel, reinterpret_cast<char*>(&size), sizeof(size)) || size > kMaxMessage)
    return false;
  message.resize(size);
  return ReceiveExactly(channel, message.data(), size);
}

void LauncherMain(int channel, JailPlan plan, double wall_seconds) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGINT, SIG_IGN);  // Ctrl-C ends the parent; the closed channel ends this process
  std::string job;
  while (ReceiveMessage(channel, job)) {
    if (!SendMessage(channel, JudgeOne(plan, job, wall_seconds))) break;
  }
  _exit(0);
}

}  // namespace h1bench::tasks

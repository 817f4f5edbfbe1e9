#include "tasks/sandbox/launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>

namespace h1bench::tasks {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kMaxMessage = 64U << 20;
constexpr std::size_t kMaxVerdict = 4U << 20;
constexpr double kStartSeconds = 10;   // for both jails to come up; not the program's time
constexpr double kGraceSeconds = 0.3;  // for the checker to see that its candidate is dead

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

std::string Verdict(const char* verdict, const std::string& detail) {
  Json json;
  json.Set("verdict", verdict).Set("detail", detail);
  return WriteJson(json);
}

Json Pick(const Json& job, std::initializer_list<const char*> keys) {
  Json part;
  for (const char* key : keys) part.Set(key, *job.Find(key));
  return part;
}

SteadyClock::time_point After(double seconds) {
  return SteadyClock::now() + std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

/// Lines of a pipe, each until a deadline.
class LineReader {
 public:
  /// `channel` is the socket to h1bench: its end cuts every wait short.
  LineReader(int file, int channel) : file_(file), channel_(channel) {}

  /// Nothing at the deadline or when h1bench is gone; an empty text at the end of the file.
  std::optional<std::string> Next(SteadyClock::time_point deadline) {
    std::size_t end;
    while ((end = text_.find('\n')) == std::string::npos) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SteadyClock::now())
              .count();
      if (left <= 0) return std::nullopt;
      pollfd waiting[2] = {{file_, POLLIN, 0}, {channel_, POLLRDHUP, 0}};
      if (poll(waiting, 2, static_cast<int>(left)) <= 0) continue;
      if (waiting[1].revents != 0) return std::nullopt;
      char block[4096];
      const ssize_t count = read(file_, block, sizeof(block));
      if (count <= 0 || text_.size() > kMaxVerdict) return "";
      text_.append(block, static_cast<std::size_t>(count));
    }
    std::string line = text_.substr(0, end);
    text_.erase(0, end + 1);
    return line;
  }

 private:
  int file_, channel_;
  std::string text_;
};

/// Hands `files` over a Unix socket.
bool SendFiles(int socket, const std::array<int, 4>& files) {
  char byte = 1;
  iovec data = {&byte, 1};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(files))] = {};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = sizeof(room);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(files));
  std::memcpy(CMSG_DATA(header), files.data(), sizeof(files));
  return sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

}  // namespace

struct JudgeSlot::Pipes {
  Pipe calls, replies, verdicts;
};

Status JudgeSlot::StartChecker() {
  if (checker_.running()) return Status::Ok();
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return IoError("sandbox: socketpair: {}", std::strerror(errno));
  const Status started = checker_.Start(plan_, JailKind::kChecker, {ends[1], -1, -1});
  close(ends[1]);
  control_ = ends[0];
  return started;
}

void JudgeSlot::StopChecker() {
  checker_.Kill();
  if (control_ >= 0) close(control_);
  control_ = -1;
}

/// Starts the candidate and hands the other ends of its pipes to a fork of the checker.
Status JudgeSlot::Begin(const Json& job, Pipes& pipes, Jail& candidate) {
  if (!pipes.calls.ok() || !pipes.replies.ok() || !pipes.verdicts.ok())
    return ResourceExhausted("no file descriptors left");
  H1_ASSIGN_OR_RETURN(const int program,
                      MakeFile(WriteJson(Pick(job, {"program", "entry_point", "cpu_seconds",
                                                    "memory_bytes", "message_bytes"}))));
  const Status started = candidate.Start(
      plan_, JailKind::kCandidate, {pipes.calls.read_end(), pipes.replies.write_end(), program});
  close(program);
  H1_RETURN_IF_ERROR(started);
  pipes.calls.CloseRead();
  pipes.replies.CloseWrite();

  H1_RETURN_IF_ERROR(StartChecker());
  H1_ASSIGN_OR_RETURN(
      const int tests,
      MakeFile(WriteJson(Pick(job, {"prompt", "tests", "entry_point", "data", "cpu_seconds",
                                    "memory_bytes", "message_bytes"}))));
  const bool sent = SendFiles(control_, {pipes.replies.read_end(), pipes.calls.write_end(), tests,
                                         pipes.verdicts.write_end()});
  close(tests);
  pipes.calls.CloseWrite();
  pipes.replies.CloseRead();
  pipes.verdicts.CloseWrite();
  return sent ? Status::Ok() : Unavailable("the checker is gone");
}

std::string JudgeSlot::Judge(const std::string& text) {
  auto job = ParseJson(text);
  if (!job.ok()) return Verdict("sandbox_error", job.status().message());
  const double wall_seconds = job->Find("wall_seconds")->as_double();
  Pipes pipes;
  Jail candidate;
  if (const Status begun = Begin(*job, pipes, candidate); !begun.ok()) {
    StopChecker();
    return Verdict("sandbox_error", begun.message());
  }
  LineReader lines(pipes.verdicts.read_end(), channel_);
  auto line = lines.Next(After(kStartSeconds));  // "started", or a verdict: it did not start
  if (!line) {
    StopChecker();
    return Verdict("sandbox_error", fmt::format("no jail in {} s", kStartSeconds));
  }
  if (line->find("\"started\"") != std::string::npos) line = lines.Next(After(wall_seconds));
  candidate.Kill();
  if (!line) {
    // The checker sees the end of its candidate and gives a verdict of its own, unless it hangs.
    if (!lines.Next(After(kGraceSeconds))) StopChecker();
    return Verdict("timeout", fmt::format("longer than {} s", wall_seconds));
  }
  if (line->empty()) {
    StopChecker();
    return Verdict("sandbox_error", "the checker ended without a verdict");
  }
  return *line;
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

void LauncherMain(int channel, JailPlan plan) {
  // When h1bench ends, in whatever way, the channel closes and the jails are taken down in order.
  // To be killed with it would leave a jail that was just being made.
  prctl(PR_SET_CHILD_SUBREAPER, 1);  // what a killed jail leaves becomes ours to wait for
  signal(SIGINT, SIG_IGN);           // Ctrl-C ends the parent; the closed channel ends this process
  {
    JudgeSlot slot(std::move(plan), channel);
    std::string job;
    while (ReceiveMessage(channel, job)) {
      if (!SendMessage(channel, slot.Judge(job))) break;
    }
  }
  _exit(0);
}

}  // namespace h1bench::tasks

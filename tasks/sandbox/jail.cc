#include "tasks/sandbox/jail.h"

#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/sha256.h"
#include "tasks/sandbox/programs.h"
#include "tasks/sandbox/seccomp_filter.h"

namespace h1bench::tasks {
namespace {

constexpr int kFirstInside = 3;
constexpr int kSeccomp = 6, kInfo = 7;  // bubblewrap's own descriptors

std::vector<std::string> Arguments(const JailPlan& plan, JailKind kind) {
  const std::string user = std::to_string(plan.user);
  std::vector<std::string> words = {"bwrap", "--unshare-all", "--die-with-parent", "--new-session",
                                    "--clearenv"};
  const auto add = [&words](std::initializer_list<std::string> more) {
    words.insert(words.end(), more);
  };
  add({"--cap-drop", "ALL", "--uid", user, "--gid", user, "--hostname", "sandbox"});
  add({"--seccomp", std::to_string(kSeccomp), "--info-fd", std::to_string(kInfo)});
  for (const std::string& folder : plan.folders) add({"--ro-bind", folder, folder});
  add({"--ro-bind", plan.python, plan.python});
  add({"--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"});
  add({"--size", "65536", "--tmpfs", "/dev"});
  for (const char* device : {"/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"})
    add({"--dev-bind", device, device});
  add({"--remount-ro", "/dev", "--size", "16777216", "--tmpfs", "/tmp", "--chdir", "/tmp"});
  add({"--remount-ro", "/", "--", plan.python, "-I", "-S", "-c"});
  add({kind == JailKind::kCandidate ? kCandidateProgram : kCheckerProgram});
  return words;
}

/// In the child: descriptors in place, identity dropped. Only async-signal-safe calls.
[[noreturn]] void Become(const JailPlan& plan, const int (&wanted)[5], char* const* arguments) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Out of the way first, so that no dup2 overwrites one that is still needed.
  int moved[5];
  for (int i = 0; i < 5; ++i) moved[i] = wanted[i] < 0 ? -1 : fcntl(wanted[i], F_DUPFD, 20);
  const int null = open("/dev/null", O_RDWR);
  for (int i = 0; i < 3; ++i) dup2(null, i);
  for (int i = 0; i < 5; ++i) {
    if (moved[i] >= 0) {
      dup2(moved[i], kFirstInside + i);
    } else {
      close(kFirstInside + i);
    }
  }
  syscall(SYS_close_range, kInfo + 1, ~0U, 0);
  if (plan.change_user &&
      (setgroups(0, nullptr) != 0 || setresgid(plan.user, plan.user, plan.user) != 0 ||
       setresuid(plan.user, plan.user, plan.user) != 0)) {
    _exit(125);
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // changing the user clears it
  execv("/usr/bin/bwrap", arguments);
  _exit(126);
}

void Await(pid_t child) {
  while (waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

/// The process id in {"child-pid": N}; -1 when bubblewrap does not tell it.
pid_t ReadInnerPid(int file) {
  char text[128] = {};
  pollfd waiting = {file, POLLIN, 0};
  if (poll(&waiting, 1, 1000) <= 0 || read(file, text, sizeof(text) - 1) <= 0) return -1;
  const char* key = "\"child-pid\":";
  const char* found = std::strstr(text, key);
  if (found == nullptr) return -1;
  found += std::strlen(key);
  while (*found == ' ') ++found;
  pid_t pid = -1;
  const auto [end, code] = std::from_chars(found, text + std::strlen(text), pid);
  return code == std::errc() && pid > 0 ? pid : -1;  // 0 and below would signal whole groups
}

/// The folder of the C library that this program runs with.
std::string LibraryFolder() {
  std::string folder;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* result) {
        const std::filesystem::path path = info->dlpi_name;
        if (path.filename() != "libc.so.6") return 0;
        std::error_code error;
        *static_cast<std::string*>(result) =
            std::filesystem::canonical(path, error).parent_path().string();
        return 1;
      },
      &folder);
  return folder;
}

}  // namespace

Result<JailPlan> MakeJailPlan() {
  namespace fs = std::filesystem;
  JailPlan plan;
  plan.change_user = geteuid() == 0;
  std::error_code error;
  const fs::path python = fs::canonical("/usr/bin/python3", error);
  if (error) return FailedPrecondition("sandbox: /usr/bin/python3: {}", error.message());
  plan.python = python.string();
  for (const char* root : {"/usr/lib", "/usr/lib64"}) {
    const fs::path library = fs::path(root) / python.filename();
    if (fs::exists(library / "os.py", error)) plan.folders.push_back(library.string());
  }
  if (plan.folders.empty()) {
    return FailedPrecondition("sandbox: the library of {} is not in /usr/lib/{}", plan.python,
                              python.filename().string());
  }
  for (const std::string& folder : {LibraryFolder(), std::string("/usr/lib64")}) {
    if (!folder.empty() && fs::is_directory(folder, error) &&
        std::find(plan.folders.begin(), plan.folders.end(), folder) == plan.folders.end()) {
      plan.folders.push_back(folder);
    }
  }
  H1_ASSIGN_OR_RETURN(plan.candidate_filter, SeccompFilter(/*processes=*/false));
  H1_ASSIGN_OR_RETURN(plan.checker_filter, SeccompFilter(/*processes=*/true));
  return plan;
}

std::string SandboxProfile(const JailPlan& plan) {
  JailPlan any_slot = plan;
  any_slot.user = 0;
  Sha256 digest;
  digest.UpdateField(plan.change_user ? "own user" : "same user");
  if (const auto program = ReadFile("/usr/bin/bwrap"); program.ok()) digest.UpdateField(*program);
  for (const JailKind kind : {JailKind::kCandidate, JailKind::kChecker}) {
    for (const std::string& word : Arguments(any_slot, kind)) digest.UpdateField(word);
  }
  digest.UpdateField(plan.candidate_filter).UpdateField(plan.checker_filter);
  return digest.FinishHex();
}

Result<int> MakeFile(const std::string& bytes) {
  const int file = memfd_create("h1bench-job", MFD_CLOEXEC);
  if (file < 0) return IoError("sandbox: memfd_create: {}", std::strerror(errno));
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t written = write(file, bytes.data() + done, bytes.size() - done);
    if (written <= 0) {
      close(file);
      return IoError("sandbox: cannot write a job: {}", std::strerror(errno));
    }
    done += static_cast<std::size_t>(written);
  }
  lseek(file, 0, SEEK_SET);
  return file;
}

Status Jail::Start(const JailPlan& plan, JailKind kind, const JailFiles& files) {
  Kill();
  std::vector<std::string> words = Arguments(plan, kind);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  H1_ASSIGN_OR_RETURN(
      const int seccomp,
      MakeFile(kind == JailKind::kCandidate ? plan.candidate_filter : plan.checker_filter));
  int info[2];
  if (pipe2(info, O_CLOEXEC) != 0) {
    close(seccomp);
    return IoError("sandbox: pipe: {}", std::strerror(errno));
  }
  const int wanted[5] = {files.reading, files.writing, files.job, seccomp, info[1]};
  const pid_t child = fork();
  if (child == 0) Become(plan, wanted, arguments.data());
  close(seccomp);
  close(info[1]);
  if (child < 0) {
    close(info[0]);
    return ResourceExhausted("sandbox: fork: {}", std::strerror(errno));
  }
  outer_ = child;
  info_ = info[0];
  return Status::Ok();
}

void Jail::Kill() {
  if (outer_ <= 0) return;
  const pid_t inner = ReadInnerPid(info_);
  close(info_);
  info_ = -1;
  kill(outer_, SIGKILL);
  Await(outer_);
  outer_ = -1;
  // The namespace's first process is our child now, unless bubblewrap has reaped it. It dies with
  // its parent; killed while it was being made it may not know that yet. It is killed only when it
  // is our child, for then no other process can have its number. With it its whole namespace dies.
  if (inner > 0 && waitpid(inner, nullptr, WNOHANG | __WALL) == 0) {
    kill(inner, SIGKILL);
    Await(inner);
  }
}

}  // namespace h1bench::tasks

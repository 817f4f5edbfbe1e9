#include "tasks/sandbox/jail.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "tasks/sandbox/seccomp_filter.h"

namespace h1bench::tasks {
namespace {

constexpr int kFirstInside = 3;
constexpr int kSeccomp = 7;  // where bubblewrap finds the filter

std::vector<std::string> Arguments(const JailPlan& plan, const std::string& script) {
  const std::string user = std::to_string(plan.user);
  std::vector<std::string> arguments = {"bwrap",
                                        "--unshare-all",
                                        "--die-with-parent",
                                        "--new-session",
                                        "--clearenv",
                                        "--cap-drop",
                                        "ALL",
                                        "--uid",
                                        user,
                                        "--gid",
                                        user,
                                        "--hostname",
                                        "sandbox",
                                        "--seccomp",
                                        std::to_string(kSeccomp),
                                        "--ro-bind",
                                        "/usr",
                                        "/usr",
                                        "--symlink",
                                        "usr/bin",
                                        "/bin",
                                        "--symlink",
                                        "usr/lib",
                                        "/lib",
                                        "--symlink",
                                        "usr/lib64",
                                        "/lib64",
                                        "--size",
                                        "65536",
                                        "--tmpfs",
                                        "/dev"};
  for (const char* device : {"/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"}) {
    arguments.insert(arguments.end(), {"--dev-bind", device, device});
  }
  arguments.insert(arguments.end(), {"--remount-ro", "/dev", "--size", "16777216", "--tmpfs",
                                     "/tmp", "--chdir", "/tmp", "--remount-ro", "/", "--",
                                     "/usr/bin/python3", "-I", "-S", "-c", script});
  return arguments;
}

/// In the child: descriptors in place, identity dropped. Only async-signal-safe calls.
[[noreturn]] void Become(const JailPlan& plan, const JailFiles& files, int seccomp,
                         char* const* arguments) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Out of the way first, so that no dup2 overwrites one that is still needed.
  int moved[5];
  const int wanted[5] = {files.reading, files.writing, files.job, files.verdict, seccomp};
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
  syscall(SYS_close_range, kSeccomp + 1, ~0U, 0);
  if (plan.change_user &&
      (setgroups(0, nullptr) != 0 || setresgid(plan.user, plan.user, plan.user) != 0 ||
       setresuid(plan.user, plan.user, plan.user) != 0)) {
    _exit(125);
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // changing the user clears it
  execv("/usr/bin/bwrap", arguments);
  _exit(126);
}

}  // namespace

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

Result<pid_t> StartJail(const JailPlan& plan, const std::string& script, const JailFiles& files) {
  H1_ASSIGN_OR_RETURN(const int seccomp, MakeSeccompFile());
  std::vector<std::string> words = Arguments(plan, script);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) Become(plan, files, seccomp, arguments.data());
  close(seccomp);
  if (child < 0) return ResourceExhausted("sandbox: fork: {}", std::strerror(errno));
  return child;
}

}  // namespace h1bench::tasks

#include "tasks/sandbox/seccomp_filter.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace h1bench::tasks {
namespace {

// No sockets, no new namespaces, no tracing, no keys or locks that other jails could read, no
// kernel interfaces beside the ordinary ones. Unknown names (older libseccomp) are skipped: they do
// not exist on that kernel's table either.
constexpr std::array kDenied = {"socket",
                                "socketpair",
                                "connect",
                                "bind",
                                "listen",
                                "accept",
                                "accept4",
                                "sendto",
                                "sendmsg",
                                "sendmmsg",
                                "unshare",
                                "setns",
                                "mount",
                                "umount2",
                                "pivot_root",
                                "chroot",
                                "fsopen",
                                "fsmount",
                                "fsconfig",
                                "move_mount",
                                "open_tree",
                                "mount_setattr",
                                "ptrace",
                                "process_vm_readv",
                                "process_vm_writev",
                                "kcmp",
                                "pidfd_getfd",
                                "pidfd_open",
                                "keyctl",
                                "add_key",
                                "request_key",
                                "flock",
                                "bpf",
                                "perf_event_open",
                                "userfaultfd",
                                "io_uring_setup",
                                "io_uring_enter",
                                "io_uring_register",
                                "init_module",
                                "finit_module",
                                "delete_module",
                                "kexec_load",
                                "kexec_file_load",
                                "reboot",
                                "swapon",
                                "swapoff",
                                "syslog",
                                "acct",
                                "quotactl",
                                "personality",
                                "open_by_handle_at",
                                "name_to_handle_at",
                                "lookup_dcookie",
                                "shmget",
                                "semget",
                                "msgget",
                                "mq_open",
                                "iopl",
                                "ioperm",
                                "settimeofday",
                                "clock_settime",
                                "adjtimex",
                                "clock_adjtime",
                                "sethostname",
                                "setdomainname",
                                "memfd_create",
                                "memfd_secret",
                                "landlock_create_ruleset",
                                "fanotify_init",
                                "vhangup"};

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};

}  // namespace

Result<std::string> SeccompFilter(bool processes) {
  const std::unique_ptr<void, Release> filter(seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return ResourceExhausted("sandbox: no memory for the system call filter");
  for (const char* name : kDenied) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR || number < 0) continue;
    if (seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), number, 0) != 0)
      return Internal("sandbox: cannot deny the system call {}", name);
  }
  // clone3 hides its flags from filters: say it does not exist, so that libc takes clone, whose
  // flags can be read.
  bool added = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
  for (const std::uint64_t flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET,
                                   CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    added = added && seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                      SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)) == 0;
  }
  // Record locks on shared read-only files pass notes between jails, as flock does.
  for (const std::uint64_t command : {F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW}) {
    added = added && seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl), 1,
                                      SCMP_A1(SCMP_CMP_EQ, command)) == 0;
  }
  if (!processes) {
    for (const char* name : {"fork", "vfork"}) {  // newer architectures have neither
      const int number = seccomp_syscall_resolve_name(name);
      added = added &&
              (number < 0 || seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), number, 0) == 0);
    }
    added = added && seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                      SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) == 0;
  }
  if (!added) return Internal("sandbox: cannot write a rule of the system call filter");
  const int file = memfd_create("h1bench-seccomp", MFD_CLOEXEC);
  if (file < 0) return IoError("sandbox: memfd_create: {}", std::strerror(errno));
  std::string program;
  bool read = seccomp_export_bpf(filter.get(), file) == 0;
  if (read) {
    program.resize(static_cast<std::size_t>(lseek(file, 0, SEEK_END)));
    read = pread(file, program.data(), program.size(), 0) == static_cast<ssize_t>(program.size());
  }
  close(file);
  if (!read) return IoError("sandbox: cannot write the system call filter");
  return program;
}

}  // namespace h1bench::tasks

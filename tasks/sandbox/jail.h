#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/status.h"

namespace h1bench::tasks {

/// How jails are made on this machine; found out once, when the judge starts.
struct JailPlan {
  bool change_user = false;          // root: drop to an own uid for each slot first
  uid_t user = 61001;                // inside, and outside when change_user
  std::string python;                // the interpreter, without symbolic links
  std::vector<std::string> folders;  // the only host folders inside, read-only
  std::string candidate_filter;      // system call filters (BPF)
  std::string checker_filter;
};

/// Finds the interpreter, its library and the C library of this machine.
Result<JailPlan> MakeJailPlan();

/// SHA-256 over what decides how a jail holds: bubblewrap and its arguments (they name the
/// interpreter's version), both filters, and the programs of both processes.
std::string SandboxProfile(const JailPlan& plan);

enum class JailKind { kCandidate, kChecker };

/// Which of our descriptors become 3, 4 and 5 inside (-1: none).
struct JailFiles {
  int reading = -1, writing = -1, job = -1;
};

/// A running jail. Destroying it kills everything inside and waits until nothing is left, so the
/// process that makes jails must be their reaper (PR_SET_CHILD_SUBREAPER).
class Jail {
 public:
  Jail() = default;
  ~Jail() { Kill(); }
  Jail(const Jail&) = delete;

  /// Starts the Python program of `kind` in a bubblewrap jail: own user, pid, net, ipc, uts, cgroup
  /// and mount namespaces, the folders of the plan read-only and nothing else of the host, 16 MiB
  /// of /tmp, no environment, no capabilities, the system call filter; it dies with its parent.
  Status Start(const JailPlan& plan, JailKind kind, const JailFiles& files);
  bool running() const { return outer_ > 0; }
  void Kill();

 private:
  pid_t outer_ = -1;  // bubblewrap itself
  int info_ = -1;     // where it tells the process id of the namespace's first process
};

/// An anonymous file that holds `bytes`, read from its start.
Result<int> MakeFile(const std::string& bytes);

}  // namespace h1bench::tasks

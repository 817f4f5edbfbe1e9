#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/status.h"

namespace h1bench::tasks {

/// How jails are made on this machine; found out once, when the judge starts.
struct JailPlan {
  bool change_user = false;  // root: drop to an own uid for each slot first
  uid_t user = 61001;        // inside, and outside when change_user
};

/// Which of our descriptors become 3, 4, 5, 6 inside (-1: none).
struct JailFiles {
  int reading = -1, writing = -1, job = -1, verdict = -1;
};

/// Starts `script` under python3 in a bubblewrap jail: own user, pid, net, ipc, uts and cgroup
/// namespaces, /usr read-only and nothing else of the host, 16 MiB of /tmp, no environment, no
/// capabilities, the system call filter, dies with its parent. Returns the process id of
/// bubblewrap; killing it kills everything inside.
Result<pid_t> StartJail(const JailPlan& plan, const std::string& script, const JailFiles& files);

/// An anonymous file that holds `bytes`, read from its start.
Result<int> MakeFile(const std::string& bytes);

}  // namespace h1bench::tasks

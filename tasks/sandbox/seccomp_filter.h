#pragma once

#include <string>

#include "base/status.h"

namespace h1bench::tasks {

/// The system call filter as bubblewrap reads it (a BPF program): what a pure function never needs
/// and what has been used to break out or to pass notes answers EPERM. Without `processes` no
/// process can be started (threads can), so the address space limit of one process caps the memory
/// of the jail and nothing is left to outlive it.
Result<std::string> SeccompFilter(bool processes);

}  // namespace h1bench::tasks

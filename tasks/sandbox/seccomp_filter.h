#pragma once

#include "base/status.h"

namespace h1bench::tasks {

/// A descriptor from which bubblewrap reads the system call filter: what a pure function never
/// needs and what has been used to break out or to pass notes answers EPERM.
Result<int> MakeSeccompFile();

}  // namespace h1bench::tasks

#pragma once

#include <string_view>

#include "base/status.h"

namespace h1bench {

/// A named place where tests make the process fail. Always compiled, asleep unless the environment
/// has H1BENCH_FAILPOINT=NAME[:N]=kill|error|sticky: then the N-th time (default: the first) that
/// the process comes by, it is killed as by kill -9, or gets an error as from a disk; sticky: from
/// then on always. An unknown
/// setting ends the process: a test that hurts nobody would pass. The name is `group` and `place`
/// put together. Thread-safe; one load of an atomic when asleep. The list: tests/fault/README.md.
Status Failpoint(std::string_view group, std::string_view place);

}  // namespace h1bench

#pragma once

#include <cstdint>

namespace h1bench::engine {

/// Bytes this process may still take: MemAvailable of /proc/meminfo, less where a cgroup limits it
/// (v2 memory.max and memory.current, v1 memory.limit_in_bytes and memory.usage_in_bytes).
std::int64_t FreeMemoryBytes();

}  // namespace h1bench::engine

#include "runner/engine/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace h1bench::engine {
namespace {

constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

std::int64_t ReadNumber(const char* path, std::int64_t otherwise) {
  std::ifstream file(path);
  std::int64_t value = 0;
  return file >> value ? value : otherwise;  // "max" is no number
}

std::int64_t Available() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word) {
    std::int64_t kib = 0;
    if (word == "MemAvailable:" && file >> kib) return kib * 1024;
  }
  return kUnlimited;
}

std::int64_t Left(const char* limit_path, const char* usage_path) {
  const std::int64_t limit = ReadNumber(limit_path, kUnlimited);
  return limit == kUnlimited ? kUnlimited
                             : std::max<std::int64_t>(0, limit - ReadNumber(usage_path, 0));
}

}  // namespace

std::int64_t FreeMemoryBytes() {
  return std::min({Available(), Left("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
                   Left("/sys/fs/cgroup/memory/memory.limit_in_bytes",
                        "/sys/fs/cgroup/memory/memory.usage_in_bytes")});
}

}  // namespace h1bench::engine

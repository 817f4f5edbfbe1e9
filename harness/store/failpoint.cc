#include "harness/store/failpoint.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace h1bench {
namespace {

struct Setting {
  std::string name, action;
  std::atomic<long> left{0};

  Setting() {
    const char* variable = std::getenv("H1BENCH_FAILPOINT");
    if (variable == nullptr) return;
    const std::string text = variable;
    const std::size_t equals = text.rfind('=');
    const std::size_t colon = text.find(':');
    name = text.substr(0, std::min(colon, equals));
    action = equals == std::string::npos ? "" : text.substr(equals + 1);
    long count = 1;
    bool good = action == "kill" || action == "error" || action == "sticky";
    if (good && colon < equals) {
      const char* end = text.data() + equals;
      const auto parsed = std::from_chars(text.data() + colon + 1, end, count);
      good = parsed.ec == std::errc() && parsed.ptr == end && count > 0;
    }
    if (!good) {
      std::fprintf(stderr, "H1BENCH_FAILPOINT=%s: expected NAME[:N]=kill|error|sticky\n", variable);
      _exit(2);
    }
    left = count;
  }
};

}  // namespace

Status Failpoint(std::string_view group, std::string_view place) {
  static Setting setting;
  if (setting.left.load(std::memory_order_relaxed) <= 0) return {};
  if (setting.name != std::string(group).append(place)) return {};
  const long left = setting.left.fetch_sub(1);
  if (left != 1) return {};
  if (setting.action == "sticky") setting.left = 1;
  if (setting.action == "kill") {
    kill(getpid(), SIGKILL);
    pause();
  }
  return IoError("failpoint {}{}", group, place);
}

}  // namespace h1bench

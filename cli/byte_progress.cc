#include "cli/byte_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cli/units.h"

namespace h1bench::cli {

ByteProgress::ByteProgress(std::string label)
    : label_(std::move(label)),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      last_(start_) {}

ByteProgress::~ByteProgress() {
  if (drawn_) std::fputs("\r\033[K", stderr);
}

void ByteProgress::Show(std::int64_t done, std::int64_t total, std::int64_t already) {
  const Clock::time_point now = Clock::now();
  if (!terminal_ || (drawn_ && now - last_ < std::chrono::milliseconds(200))) return;
  last_ = now;
  drawn_ = true;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double speed = seconds > 0 ? static_cast<double>(done - already) / seconds : 0;
  std::string line = fmt::format("\r\033[K{}  {}", label_, FormatBytes(done));
  if (total > 0) line += fmt::format(" of {}  {} %", FormatBytes(total), 100 * done / total);
  if (speed > 0) line += fmt::format("  {}/s", FormatBytes(static_cast<std::int64_t>(speed)));
  if (speed > 0 && total > done)
    line += fmt::format("  {} left", FormatSeconds(static_cast<double>(total - done) / speed));
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace h1bench::cli

#include "cli/run_display.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/text.h"
#include "cli/units.h"
#include "reports/statistics/interval.h"

namespace h1bench::cli {
namespace {

constexpr std::chrono::milliseconds kRedraw{250}, kPlainLine{5'000};
constexpr std::int64_t kBarCells = 16;

std::string Eta(double seconds) { return seconds < 0 ? "" : FormatSeconds(seconds) + " left"; }

std::string Bar(std::int64_t done, std::int64_t total) {
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const std::int64_t eighths = total == 0 ? 0 : done * kBarCells * 8 / total;
  std::string bar;
  for (std::int64_t i = 0; i < eighths / 8; ++i) bar += "█";
  if (eighths % 8 != 0) bar += kEighths[eighths % 8];
  const std::int64_t used = eighths / 8 + (eighths % 8 != 0 ? 1 : 0);
  return bar + std::string(static_cast<std::size_t>(kBarCells - used), ' ');
}

/// A running figure with Wilson's interval, as if every score were 0 or 1; the report has the exact
/// one.
std::string Score(const v1::CellProgress& cell) {
  if (cell.scored() == 0) return "";
  const auto right =
      static_cast<std::int64_t>(std::llround(cell.score() * static_cast<double>(cell.scored())));
  return fmt::format(
      "{:.1f} ± {:.1f} %", 100 * cell.score(),
      100 * reports::WilsonInterval(static_cast<double>(right), cell.scored()).half_width());
}

std::string Line(const v1::CellProgress& cell) {
  return fmt::format(
      "  {:<14.14} {:<24.24} {} {:>15}  {:>14} {:>11}  {}", cell.task(),
      cell.model() + " " + cell.precision(), Bar(cell.done(), cell.total()),
      FormatCount(cell.done()) + "/" + FormatCount(cell.total()), Score(cell),
      cell.tokens_per_second() > 0 ? fmt::format("{:.0f} tok/s", cell.tokens_per_second()) : "",
      cell.done() < cell.total() ? Eta(cell.eta_seconds()) : "");
}

}  // namespace

RunDisplay::Mode ParseDisplayMode(const std::string& text) {
  if (text == "plain") return RunDisplay::Mode::kPlain;
  return text == "none" ? RunDisplay::Mode::kNone : RunDisplay::Mode::kAuto;
}

RunDisplay::RunDisplay(Mode mode, std::string hint)
    : terminal_(mode == Mode::kAuto && isatty(STDERR_FILENO) != 0),
      silent_(mode == Mode::kNone),
      hint_(hint.empty() ? "" : " · " + hint) {}

void RunDisplay::Show(const v1::RunProgress& progress, bool final) {
  const auto now = std::chrono::steady_clock::now();
  if (silent_ || (!final && now - last_ < (terminal_ ? kRedraw : kPlainLine))) return;
  last_ = now;
  std::int64_t done = 0, total = 0;
  for (const v1::CellProgress& cell : progress.cells()) {
    done += cell.done();
    total += cell.total();
  }
  for (; told_ < progress.failures_size(); ++told_) {
    std::fprintf(stderr, "worker %s\n", VisibleText(progress.failures(told_)).c_str());
    drawn_ = 0;  // the block goes on below
  }
  const std::string state = fmt::format(
      "{} worker{} · {}/{} · {}{}", progress.workers(), progress.workers() == 1 ? "" : "s",
      FormatCount(done), FormatCount(total), FormatSeconds(progress.elapsed_seconds()),
      progress.eta_seconds() > 0 ? " · " + Eta(progress.eta_seconds()) : "");
  if (!terminal_) {
    std::fprintf(stderr, "run %s: %s\n", progress.id().c_str(), state.c_str());
    return;
  }
  std::vector<std::string> lines;
  // Cells at work first; those not begun are summed up when the screen is small.
  winsize size = {};
  ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
  const std::size_t room = size.ws_row > 6 ? size.ws_row - 4U : 20U;
  std::size_t hidden = 0;
  for (const v1::CellProgress& cell : progress.cells()) {
    const bool idle = cell.done() == 0 || cell.done() == cell.total();
    if (static_cast<std::size_t>(progress.cells_size()) > room && idle)
      ++hidden;
    else
      lines.push_back(Line(cell));
  }
  if (hidden > 0) lines.push_back(fmt::format("  … and {} cells that wait or are done", hidden));
  lines.push_back("  " + state + hint_);
  DrawBlock(lines);
}

void RunDisplay::DrawBlock(const std::vector<std::string>& lines) {
  std::string out;
  if (drawn_ > 0) out += fmt::format("\x1b[{}A", drawn_);
  for (const std::string& line : lines) out += line + "\x1b[K\n";
  for (std::size_t i = lines.size(); i < drawn_; ++i) out += "\x1b[K\n";
  drawn_ = std::max(drawn_, lines.size());
  std::fwrite(out.data(), 1, out.size(), stderr);
}

std::string ProgressTable(const v1::RunProgress& progress) {
  std::string out = fmt::format("{:<28} {:<6} {:<20} {:>13}  {:>16}  {}\n", "model", "prec.",
                                "task", "samples", "score", "metric");
  for (const v1::CellProgress& cell : progress.cells()) {
    out += fmt::format("{:<28.28} {:<6} {:<20.20} {:>13}  {:>16}  {}\n", cell.model(),
                       cell.precision(), cell.task(),
                       FormatCount(cell.done()) + "/" + FormatCount(cell.total()), Score(cell),
                       cell.metric());
  }
  for (const std::string& failure : progress.failures())
    out += "! worker " + VisibleText(failure) + "\n";
  return out;
}

}  // namespace h1bench::cli

#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "proto/h1bench.pb.h"

namespace h1bench::cli {

/// Live progress on standard error: one block that redraws itself on a terminal, a line every few
/// seconds elsewhere.
class RunDisplay {
 public:
  enum class Mode { kAuto, kPlain, kNone };
  /// `hint` ends the block: what a person can do now.
  explicit RunDisplay(Mode mode, std::string hint = "");
  /// Draws when it is time to. `final` draws in any case.
  void Show(const v1::RunProgress& progress, bool final = false);
  /// Leaves the block where it is: what is printed next comes below.
  void Release() { drawn_ = 0; }

 private:
  void DrawBlock(const std::vector<std::string>& lines);

  bool terminal_ = false, silent_ = false;
  std::string hint_;
  std::chrono::steady_clock::time_point last_{};
  std::size_t drawn_ = 0;  // lines on the screen
  int told_ = 0;           // failures of workers that were printed
};

RunDisplay::Mode ParseDisplayMode(const std::string& text);
/// The cells as a table: for the end of a run and for `watch`.
std::string ProgressTable(const v1::RunProgress& progress);

}  // namespace h1bench::cli

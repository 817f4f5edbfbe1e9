#include "cli/units.h"

#include <charconv>
#include <cmath>

namespace h1bench::cli {

Result<std::int64_t> ParseBytes(const std::string& text, const std::string& option) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit(end, text.data() + text.size());
  std::erase(unit, ' ');
  static constexpr struct {
    const char* name;
    double factor;
  } kUnits[] = {
      {"", 1},      {"B", 1},      {"k", 1e3},           {"kB", 1e3},     {"KB", 1e3},
      {"M", 1e6},   {"MB", 1e6},   {"G", 1e9},           {"GB", 1e9},     {"T", 1e12},
      {"TB", 1e12}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
  for (const auto& [name, factor] : kUnits)
    if (error == std::errc() && unit == name && number > 0 && number * factor < 0x1p62)
      return static_cast<std::int64_t>(number * factor);
  return InvalidArgument("{}: expected a size such as 8GB or 512MiB, found \"{}\"", option, text);
}

std::string FormatBytes(std::int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  const int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", value, decimals, kUnits[unit]);
}

std::string FormatCount(std::int64_t count) {
  const std::string digits = std::to_string(count);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const bool group_starts = i > 0 && digits[i - 1] != '-' && (digits.size() - i) % 3 == 0;
    if (group_starts) out += ' ';
    out += digits[i];
  }
  return out;
}

std::string FormatSeconds(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace h1bench::cli

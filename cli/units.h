#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace h1bench::cli {

/// "8GB", "512 MiB", "1.5G", "100000": bytes. G and GB are powers of ten, GiB of two. Errors name
/// `option`.
Result<std::int64_t> ParseBytes(const std::string& text, const std::string& option);
/// "1.04 GB", "756 kB": three digits that mean something.
std::string FormatBytes(std::int64_t bytes);
/// "521 411 104": thousands apart.
std::string FormatCount(std::int64_t count);
/// "0:42", "1 h 52 min".
std::string FormatSeconds(double seconds);

}  // namespace h1bench::cli

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"

namespace h1bench::tasks {

/// Bytes of this file so far; false stops (kCancelled).
using DownloadProgress = std::function<bool(std::int64_t done)>;

/// Downloads files whose size and SHA-256 are known, over one kept connection. http(s) only;
/// certificates are checked. Not thread-safe.
class Downloader {
 public:
  Downloader();
  ~Downloader();
  Downloader(const Downloader&) = delete;

  struct Item {
    std::string url;
    std::filesystem::path target;
    std::int64_t size = 0;
    std::string sha256;
  };
  /// Writes `target`.part, going on where an earlier try stopped, and renames it when size and
  /// digest are right. A server that sends more than `size` bytes is cut off. Three tries; errors
  /// name the URL and what to do.
  Status Fetch(const Item& item, const DownloadProgress& progress);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace h1bench::tasks

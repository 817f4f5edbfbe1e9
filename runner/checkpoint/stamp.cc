#include "runner/checkpoint/stamp.h"

#include <sys/stat.h>

#include <ctime>
#include <map>

#include "base/sha256.h"

namespace h1bench {
namespace {

constexpr std::time_t kSettled = 2;  // seconds

std::string Nanoseconds(const timespec& time) {
  return std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec);
}

}  // namespace

std::string FolderStamp(const std::filesystem::path& folder) {
  std::map<std::string, struct stat> files;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(folder, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    struct stat& info = files[entry->path().filename().string()];
    if (stat(entry->path().c_str(), &info) != 0) return "";
  }
  if (error) return "";
  const std::time_t settled = std::time(nullptr) - kSettled;
  Sha256 hash;
  for (const auto& [name, info] : files) {
    if (info.st_ctim.tv_sec >= settled) return "";
    hash.UpdateField(name)
        .UpdateField(std::to_string(info.st_dev))
        .UpdateField(std::to_string(info.st_ino))
        .UpdateField(std::to_string(info.st_size))
        .UpdateField(Nanoseconds(info.st_mtim))
        .UpdateField(Nanoseconds(info.st_ctim));
  }
  return hash.FinishHex();
}

}  // namespace h1bench

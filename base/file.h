#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace h1bench {

/// Whole file as bytes. Files over `max_bytes` are refused before anything is allocated.
Result<std::string> ReadFile(const std::filesystem::path& path,
                             std::uint64_t max_bytes = 1ULL << 30);

/// Writes beside `path` and renames, so that a reader sees the old bytes or the new ones, never a
/// part. Creates folders.
Status WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes);

/// A file mapped read-only. Movable; the bytes live as long as the object. Reading is thread-safe.
class MappedFile {
 public:
  static Result<MappedFile> Open(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  ~MappedFile();
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// Gives the memory of the whole pages inside `part`, which lies in bytes(), back to the system;
  /// who reads them again gets them from the file. Nothing happens for bytes of somebody else's.
  void Forget(std::span<const std::byte> part) const;

 private:
  MappedFile(const std::byte* data, std::size_t size) : data_(data), size_(size) {}
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace h1bench

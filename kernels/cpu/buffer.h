#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace h1bench::cpu {

/// Uninitialised memory on a cache line (big ones on 2 MiB, in huge pages where the system gives
/// them). Throws std::bad_alloc, which the backend turns into a Status.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::int64_t bytes) : size_(bytes) {
    constexpr std::size_t kHuge = 2 << 20;
    const auto wanted = static_cast<std::size_t>(bytes < 64 ? 64 : bytes);
    const std::size_t align = wanted >= 2 * kHuge ? kHuge : 64;
    const std::size_t rounded = (wanted + align - 1) / align * align;
    data_ = static_cast<std::byte*>(std::aligned_alloc(align, rounded));
    if (data_ == nullptr) throw std::bad_alloc();
    if (align == kHuge) madvise(data_, rounded, MADV_HUGEPAGE);
  }
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() { std::free(data_); }

  std::byte* data() const { return data_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }
  std::int64_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::int64_t size_ = 0;
};

}  // namespace h1bench::cpu

#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace h1bench::cpu {

/// Uninitialised memory on a cache line. Big ones are mapped by themselves: on 2 MiB, in huge pages
/// where the system gives them (none that reaches beyond the end, so that memory is what the plan
/// says), and given back when they end. Throws std::bad_alloc, which the backend turns into a
/// Status.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::int64_t bytes) : size_(bytes) {
    data_ = mapped() ? Map(static_cast<std::size_t>(bytes))
                     : static_cast<std::byte*>(std::aligned_alloc(
                           kLine, Round(static_cast<std::size_t>(bytes < 1 ? 1 : bytes), kLine)));
    if (data_ == nullptr) throw std::bad_alloc();
  }
  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr && mapped())
      munmap(data_, Round(static_cast<std::size_t>(size_), kPage));
    else
      std::free(data_);
  }

  std::byte* data() const { return data_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }
  std::int64_t size() const { return size_; }

 private:
  static constexpr std::size_t kLine = 64, kPage = 4096, kHuge = 2 << 20;

  static std::size_t Round(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }
  bool mapped() const { return size_ >= static_cast<std::int64_t>(2 * kHuge); }

  /// Null when there is no memory.
  static std::byte* Map(std::size_t bytes) {
    const std::size_t wanted = Round(bytes, kPage), all = wanted + kHuge;
    void* memory = mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    auto* const begin = static_cast<std::byte*>(memory);
    const std::size_t before = (kHuge - reinterpret_cast<std::uintptr_t>(begin) % kHuge) % kHuge;
    if (before > 0) munmap(begin, before);
    if (const std::size_t after = kHuge - before; after > 0) munmap(begin + before + wanted, after);
    madvise(begin + before, wanted / kHuge * kHuge, MADV_HUGEPAGE);
    return begin + before;
  }

  std::byte* data_ = nullptr;
  std::int64_t size_ = 0;
};

}  // namespace h1bench::cpu

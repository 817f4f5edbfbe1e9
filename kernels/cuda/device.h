#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "kernels/cuda/paths.h"

/// The device as the backend's host code sees it: memory, copies, one stream, facts. Failures of
/// asynchronous calls are noted and asked for once, at the end of a Forward.
namespace h1bench::H1_CUDA_NAMESPACE {

/// What a device is; part of Identity().
struct DeviceFacts {
  std::string name;  // "NVIDIA H100 80GB HBM3", "emulated"
  int multiprocessors = 0;
  int major = 0, minor = 0;  // compute capability
  std::int64_t memory_bytes = 0, free_bytes = 0;
  std::string driver, runtime;  // "13.0"
  Capability capability() const { return {major, minor, HasSm90aCode()}; }
};
/// Facts of device 0; kUnavailable with the reason when there is none.
Result<DeviceFacts> QueryDevice();

/// Device memory; freed on destruction. Movable.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  /// `bytes` of `whole` from `offset` on; the whole is freed with its last part.
  static DeviceMemory Part(std::shared_ptr<const DeviceMemory> whole, std::int64_t offset,
                           std::int64_t bytes) {
    DeviceMemory out;
    out.data_ = whole->bytes() + offset;
    out.size_ = bytes;
    out.whole_ = std::move(whole);
    return out;
  }
  /// kResourceExhausted when there is not so much left. 0 bytes: an empty one.
  static Result<DeviceMemory> Allocate(std::int64_t bytes);
  DeviceMemory(DeviceMemory&& other) noexcept { Swap(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    Swap(other);
    return *this;
  }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory();

  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  std::byte* bytes() const { return static_cast<std::byte*>(data_); }
  std::int64_t size() const { return size_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  void Swap(DeviceMemory& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(whole_, other.whole_);
  }
  void* data_ = nullptr;
  std::int64_t size_ = 0;
  std::shared_ptr<const DeviceMemory> whole_;  // null: it owns its memory
};

/// Host memory that copies can run from while the host goes on (pinned on a GPU).
class HostMemory {
 public:
  HostMemory() = default;
  static Result<HostMemory> Allocate(std::int64_t bytes);
  HostMemory(HostMemory&& other) noexcept { Swap(other); }
  HostMemory& operator=(HostMemory&& other) noexcept {
    Swap(other);
    return *this;
  }
  ~HostMemory();
  std::byte* bytes() const { return data_; }
  std::int64_t size() const { return size_; }

 private:
  void Swap(HostMemory& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  std::byte* data_ = nullptr;
  std::int64_t size_ = 0;
};

Result<Stream> CreateStream();
void DestroyStream(Stream stream);
/// Asynchronous to the host when the host memory is HostMemory.
void CopyToDevice(void* to, const void* from, std::int64_t bytes, Stream stream);
void CopyToHost(void* to, const void* from, std::int64_t bytes, Stream stream);
void CopyOnDevice(void* to, const void* from, std::int64_t bytes, Stream stream);
void FillZero(void* to, std::int64_t bytes, Stream stream);
/// Waits for the stream.
void Synchronize(Stream stream);
/// A second way to the device beside the stream, for kernels that need nothing of each other: their
/// blocks share the multiprocessors. The emulation runs what it is given as late as is allowed.
class Branch {
 public:
  Branch() = default;
  Branch(const Branch&) = delete;
  Branch& operator=(const Branch&) = delete;
  ~Branch();
  Status Create();
  Stream stream() const { return stream_; }
  /// What the branch is given from now on waits for what `from` was given so far.
  void Fork(Stream from) const;
  /// What `to` is given from now on waits for the branch.
  void Join(Stream to) const;

 private:
  Stream stream_{};
#ifndef H1_CUDA_EMULATION
  cudaEvent_t forked_ = nullptr, joined_ = nullptr;
#endif
};

/// What a stream was given, to be given again in one call: a decode step is hundreds of small
/// kernels whose launches would take longer than they do.
class Graph {
 public:
  Graph() = default;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() { Clear(); }
  /// False with H1BENCH_CUDA_NO_GRAPHS set or where kernels are timed one by one: run them then.
  static bool Available();
  /// `start_early`: kernels may start while the one before ends (platform.h).
  static void BeginCapture(Stream stream, bool start_early);
  void EndCapture(Stream stream);
  bool ready() const { return ready_; }
  void Launch(Stream stream) const;
  void Clear();

 private:
  bool ready_ = false;
#ifdef H1_CUDA_EMULATION
  emulation::Work work_;
#else
  cudaGraphExec_t graph_ = nullptr;
#endif
};

/// The first failure since the last call, as a status; kResourceExhausted for memory.
Status TakeError();

}  // namespace h1bench::H1_CUDA_NAMESPACE

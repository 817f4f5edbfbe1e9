// Device memory and copies of the emulation: heap memory, done at once.
#include "kernels/cuda/device.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace h1bench::cuda_emulated {
namespace {

std::atomic<std::int64_t> g_used = 0;

}  // namespace

Result<DeviceFacts> QueryDevice() {
  DeviceFacts out;
  out.name = "emulated";
  out.multiprocessors = 4;
  out.major = emulation::CapabilityMajor();
  out.minor = emulation::CapabilityMinor();
  out.memory_bytes =
      emulation::MemoryLimit() > 0 ? emulation::MemoryLimit() : std::int64_t{8} << 30;
  out.free_bytes = out.memory_bytes - g_used;
  out.driver = out.runtime = "none";
  return out;
}

Result<DeviceMemory> DeviceMemory::Allocate(std::int64_t bytes) {
  DeviceMemory out;
  if (bytes == 0) return out;
  const bool over = emulation::MemoryLimit() > 0 && g_used + bytes > emulation::MemoryLimit();
  if (over || posix_memalign(&out.data_, 256, static_cast<std::size_t>(bytes)) != 0) {
    out.data_ = nullptr;
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("GPU memory: {} bytes wanted: out of memory", bytes));
  }
  std::memset(out.data_, 0xFF, static_cast<std::size_t>(bytes));  // NaN, as nothing promises zeros
  out.size_ = bytes;
  g_used += bytes;
  return out;
}

DeviceMemory::~DeviceMemory() {
  if (whole_ != nullptr) return;
  g_used -= size_;
  std::free(data_);
}

Result<HostMemory> HostMemory::Allocate(std::int64_t bytes) {
  HostMemory out;
  out.data_ = static_cast<std::byte*>(std::malloc(static_cast<std::size_t>(bytes)));
  out.size_ = bytes;
  return out;
}
HostMemory::~HostMemory() { std::free(data_); }

Result<Stream> CreateStream() { return 0; }
void DestroyStream(Stream) {}
namespace {
void Copy(void* to, const void* from, std::int64_t bytes) {
  if (bytes == 0) return;
  emulation::Do([=] { std::memcpy(to, from, static_cast<std::size_t>(bytes)); });
}
}  // namespace

void CopyToDevice(void* to, const void* from, std::int64_t bytes, Stream) { Copy(to, from, bytes); }
void CopyToHost(void* to, const void* from, std::int64_t bytes, Stream) { Copy(to, from, bytes); }
void CopyOnDevice(void* to, const void* from, std::int64_t bytes, Stream) { Copy(to, from, bytes); }
void FillZero(void* to, std::int64_t bytes, Stream) {
  if (bytes == 0) return;
  emulation::Do([=] { std::memset(to, 0, static_cast<std::size_t>(bytes)); });
}
Status Branch::Create() {
  stream_ = emulation::kBranch;
  return Status::Ok();
}
Branch::~Branch() = default;
void Branch::Fork(Stream) const {}
void Branch::Join(Stream) const { emulation::DoBranch(); }
bool Graph::Available() { return std::getenv("H1BENCH_CUDA_NO_GRAPHS") == nullptr; }
void Graph::BeginCapture(Stream, bool) { emulation::BeginCapture(); }
void Graph::EndCapture(Stream) {
  work_ = emulation::EndCapture();
  ready_ = true;
}
void Graph::Launch(Stream) const { emulation::Replay(work_); }
void Graph::Clear() {
  work_.clear();
  ready_ = false;
}
void Synchronize(Stream) {}
Status TakeError() { return Status::Ok(); }

}  // namespace h1bench::cuda_emulated

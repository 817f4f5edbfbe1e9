#include "kernels/cuda/device.h"

#ifndef H1_CUDA_EMULATION

#include <cstdio>
#include <cstdlib>
#include <map>

namespace h1bench::cuda {
namespace {

thread_local Status g_first_error;

std::string Version(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

}  // namespace

void NoteError(cudaError_t error, const char* what) {
  if (error == cudaSuccess || !g_first_error.ok()) return;
  g_first_error = {
      error == cudaErrorMemoryAllocation ? StatusCode::kResourceExhausted : StatusCode::kInternal,
      fmt::format("CUDA: {}: {}", what, cudaGetErrorString(error))};
}

namespace {

bool Profiling() {
  static const bool on = std::getenv("H1BENCH_CUDA_PROFILE") != nullptr;
  return on;
}
struct KernelTime {
  std::int64_t launches = 0;
  double milliseconds = 0;
};
std::map<std::string, KernelTime> g_times;
const char* g_timed = "";
cudaEvent_t g_begin = nullptr, g_end = nullptr;

}  // namespace

void ProfileBegin(const char* name, Stream stream) {
  if (!Profiling()) return;
  if (g_begin == nullptr) {
    NoteError(cudaEventCreate(&g_begin), "cudaEventCreate");
    NoteError(cudaEventCreate(&g_end), "cudaEventCreate");
  }
  g_timed = name;
  NoteError(cudaEventRecord(g_begin, stream), name);
}

void ProfileEnd(Stream stream) {
  if (!Profiling()) return;
  NoteError(cudaEventRecord(g_end, stream), g_timed);
  NoteError(cudaEventSynchronize(g_end), g_timed);
  float milliseconds = 0;
  NoteError(cudaEventElapsedTime(&milliseconds, g_begin, g_end), g_timed);
  KernelTime& time = g_times[g_timed];
  ++time.launches;
  time.milliseconds += static_cast<double>(milliseconds);
}

void ProfileReport() {
  for (const auto& [name, time] : g_times) {
    fmt::print(stderr, "{:<20} {:>8} launches {:>10.2f} ms {:>9.1f} us each\n", name, time.launches,
               time.milliseconds, 1e3 * time.milliseconds / static_cast<double>(time.launches));
  }
  g_times.clear();
}

namespace {
thread_local bool g_start_early = false;  // in the capture that this thread has begun
}  // namespace

bool MayStartEarly(Stream stream) {
  static const bool can = [] {
    int major = 0;
    return std::getenv("H1BENCH_CUDA_NO_OVERLAP") == nullptr &&
           cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) == cudaSuccess &&
           major >= 9;
  }();
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  return can && g_start_early && cudaStreamIsCapturing(stream, &status) == cudaSuccess &&
         status == cudaStreamCaptureStatusActive;
}

Status TakeError() {
  Status out = std::move(g_first_error);
  g_first_error = Status::Ok();
  return out;
}

Result<DeviceFacts> QueryDevice() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    cudaGetLastError();
    return Status(
        StatusCode::kUnavailable,
        fmt::format("no CUDA device: {}",
                    error == cudaSuccess ? "none is visible" : cudaGetErrorString(error)));
  }
  cudaDeviceProp properties;
  NoteError(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  DeviceFacts out;
  out.name = properties.name;
  out.multiprocessors = properties.multiProcessorCount;
  out.major = properties.major;
  out.minor = properties.minor;
  std::size_t free = 0, total = 0;
  NoteError(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  out.free_bytes = static_cast<std::int64_t>(free);
  out.memory_bytes = static_cast<std::int64_t>(total);
  int driver = 0, runtime = 0;
  NoteError(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  NoteError(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  out.driver = Version(driver);
  out.runtime = Version(runtime);
  H1_RETURN_IF_ERROR(TakeError());
  return out;
}

Result<DeviceMemory> DeviceMemory::Allocate(std::int64_t bytes) {
  DeviceMemory out;
  if (bytes == 0) return out;
  const cudaError_t error = cudaMalloc(&out.data_, static_cast<std::size_t>(bytes));
  if (error != cudaSuccess) {
    cudaGetLastError();  // an allocation that failed is not sticky
    out.data_ = nullptr;
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("GPU memory: {} bytes wanted: {}", bytes, cudaGetErrorString(error)));
  }
  out.size_ = bytes;
  return out;
}

DeviceMemory::~DeviceMemory() {
  if (data_ != nullptr && whole_ == nullptr) cudaFree(data_);
}

Result<HostMemory> HostMemory::Allocate(std::int64_t bytes) {
  HostMemory out;
  void* data = nullptr;
  const cudaError_t error =
      cudaHostAlloc(&data, static_cast<std::size_t>(bytes), cudaHostAllocDefault);
  if (error != cudaSuccess) {
    cudaGetLastError();
    return Status(StatusCode::kResourceExhausted, fmt::format("pinned memory: {} bytes wanted: {}",
                                                              bytes, cudaGetErrorString(error)));
  }
  out.data_ = static_cast<std::byte*>(data);
  out.size_ = bytes;
  return out;
}

HostMemory::~HostMemory() {
  if (data_ != nullptr) cudaFreeHost(data_);
}

Result<Stream> CreateStream() {
  Stream stream = nullptr;
  NoteError(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  H1_RETURN_IF_ERROR(TakeError());
  return stream;
}
void DestroyStream(Stream stream) {
  if (stream != nullptr) cudaStreamDestroy(stream);
}

Status Branch::Create() {
  // Its blocks go first: where both wait for room, those of the stream find it last.
  int least = 0, greatest = 0;
  NoteError(cudaDeviceGetStreamPriorityRange(&least, &greatest), "stream priorities");
  NoteError(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest),
            "cudaStreamCreate");
  for (cudaEvent_t* event : {&forked_, &joined_})
    NoteError(cudaEventCreateWithFlags(event, cudaEventDisableTiming), "cudaEventCreate");
  return TakeError();
}
Branch::~Branch() {
  DestroyStream(stream_);
  for (cudaEvent_t event : {forked_, joined_}) {
    if (event != nullptr) cudaEventDestroy(event);
  }
}
void Branch::Fork(Stream from) const {
  NoteError(cudaEventRecord(forked_, from), "fork");
  NoteError(cudaStreamWaitEvent(stream_, forked_, 0), "fork");
}
void Branch::Join(Stream to) const {
  NoteError(cudaEventRecord(joined_, stream_), "join");
  NoteError(cudaStreamWaitEvent(to, joined_, 0), "join");
}

namespace {
void Copy(void* to, const void* from, std::int64_t bytes, cudaMemcpyKind kind, Stream stream) {
  if (bytes == 0) return;
  NoteError(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), kind, stream),
            "cudaMemcpyAsync");
}
}  // namespace

void CopyToDevice(void* to, const void* from, std::int64_t bytes, Stream stream) {
  Copy(to, from, bytes, cudaMemcpyHostToDevice, stream);
}
void CopyToHost(void* to, const void* from, std::int64_t bytes, Stream stream) {
  Copy(to, from, bytes, cudaMemcpyDeviceToHost, stream);
}
void CopyOnDevice(void* to, const void* from, std::int64_t bytes, Stream stream) {
  Copy(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}
void FillZero(void* to, std::int64_t bytes, Stream stream) {
  if (bytes > 0)
    NoteError(cudaMemsetAsync(to, 0, static_cast<std::size_t>(bytes), stream), "cudaMemsetAsync");
}
bool Graph::Available() { return !Profiling() && std::getenv("H1BENCH_CUDA_NO_GRAPHS") == nullptr; }
void Graph::BeginCapture(Stream stream, bool start_early) {
  g_start_early = start_early;
  NoteError(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "graph capture");
}
void Graph::EndCapture(Stream stream) {
  Clear();
  cudaGraph_t captured = nullptr;
  NoteError(cudaStreamEndCapture(stream, &captured), "graph capture");
  if (captured == nullptr) return;
  NoteError(cudaGraphInstantiate(&graph_, captured, 0), "graph");
  NoteError(cudaGraphDestroy(captured), "graph");
  ready_ = graph_ != nullptr;
}
void Graph::Launch(Stream stream) const { NoteError(cudaGraphLaunch(graph_, stream), "graph"); }
void Graph::Clear() {
  if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
  graph_ = nullptr;
  ready_ = false;
}

void Synchronize(Stream stream) { NoteError(cudaStreamSynchronize(stream), "kernels"); }

}  // namespace h1bench::cuda

#endif

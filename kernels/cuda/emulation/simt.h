#pragma once

// The part of CUDA that our kernels use, for the host compiler. A block's threads are fibers of one
// host thread; a barrier or a warp operation is a yield. What this shows: logic, layout, bounds
// (shared and global arrays are heap blocks of exactly their size, so AddressSanitizer sees a step
// outside), barriers (a missing one shows as a result that depends on ThreadOrder; one that not all
// threads reach stops the program with a report). What it cannot show: timing, and the rounding of
// the tensor cores.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define H1_HOST_DEVICE inline
#define H1_DEVICE inline
#define H1_UNROLL

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }

namespace h1bench::emulation {

/// The order in which a block's threads (and a grid's blocks) take turns. Kernels without races
/// give the same bits in all of them.
enum class ThreadOrder { kForward, kReverse, kShuffled };
void SetThreadOrder(ThreadOrder order);

/// Device memory there is; allocations beyond it fail as on a real card. 0: no limit.
void SetMemoryLimit(std::int64_t bytes);
std::int64_t MemoryLimit();

/// Compute capability of the emulated card, 8.0 unless set: which kernels a backend made from then
/// on takes.
void SetCapability(int major, int minor);
int CapabilityMajor();
int CapabilityMinor();

/// What a stream was given while it was captured, in order: the host's form of a graph. Kernels and
/// copies go through Do, which runs them, or while this thread captures only keeps them.
using Work = std::vector<std::function<void()>>;
void BeginCapture();
Work EndCapture();
Work* Capturing();  // null: nothing is captured
/// Runs what was captured; Replays() counts such runs of this thread.
void Replay(const Work& work);
std::int64_t Replays();
template <typename Function>
void Do(Function work) {
  if (Capturing() != nullptr) {
    Capturing()->push_back(std::move(work));
  } else {
    work();
  }
}
/// The stream of work that may be done until DoBranch, and is done then: whoever needs it before
/// has not waited for it.
inline constexpr int kBranch = 1;
Work& BranchWork();  // of this thread
void DoBranch();
template <typename Function>
void DoOn(int stream, Function work) {
  if (stream == kBranch) {
    BranchWork().push_back(std::move(work));
  } else {
    Do(std::move(work));
  }
}

using Body = void (*)(void*);
/// Runs a kernel: `body(closure)` is one thread.
void Run(const char* name, dim3 grid, dim3 block, std::size_t shared_bytes, bool together,
         Body body, void* closure);

/// Most bytes of a warp operation, and where they lie: each lane has two places, used in turn.
inline constexpr std::size_t kExchange = 64;

/// Name of the last kernel that this thread ran, for tests of which one it was.
const char* LastKernel();

/// What a running thread knows of itself.
struct ThreadContext {
  dim3 thread, block, block_dim, grid_dim;
  int lane = 0, lanes = 0;        // in its warp; of the block's threads in that warp
  int parity = 0;                 // which place the last warp operation used
  unsigned char* warp = nullptr;  // (32, 2, kExchange)
};
extern constinit thread_local ThreadContext* current;

/// The kernel waits for the one before it; a launched kernel with a block that never does stops the
/// program.
void NoteWait();
void BlockBarrier();
void NamedBarrier(int id, int threads);
/// Lets the other threads run before this one looks again; a block where everybody only looks stops
/// the program.
void Poll();
/// Waits for the lanes of `mask` in this warp.
void WarpBarrier(unsigned mask);
[[noreturn]] void Misaligned();
[[noreturn]] void NoSuchLane();
inline int Lane() { return current->lane; }
/// Shows `bytes` (at most kExchange) to the warp and waits; then Shown(lane) reads any lane's until
/// the warp operation after the next one.
void Show(unsigned mask, const void* value, std::size_t bytes);
inline const void* Shown(int lane) {
  if (lane >= current->lanes) NoSuchLane();
  return current->warp + (lane * 2 + current->parity) * static_cast<int>(kExchange);
}

/// Shared memory: the same address for every thread of the block that asks in the same order.
void* StaticShared(std::size_t bytes);
void* DynamicShared();

template <typename T>
T FromLane(unsigned mask, T value, int lane) {
  Show(mask, &value, sizeof value);
  T out;
  std::memcpy(&out, Shown(lane & 31), sizeof out);
  return out;
}

}  // namespace h1bench::emulation

#define threadIdx (h1bench::emulation::current->thread)
#define blockIdx (h1bench::emulation::current->block)
#define blockDim (h1bench::emulation::current->block_dim)
#define gridDim (h1bench::emulation::current->grid_dim)
#define H1_SHARED(type, name, count) \
  type* const name = static_cast<type*>(h1bench::emulation::StaticShared(sizeof(type) * (count)))
#define H1_DYNAMIC_SHARED(name) \
  auto* const name = static_cast<unsigned char*>(h1bench::emulation::DynamicShared())

inline void __syncthreads() { h1bench::emulation::BlockBarrier(); }
inline void __syncwarp(unsigned mask = 0xFFFFFFFFU) { h1bench::emulation::WarpBarrier(mask); }
template <typename T>
T __shfl_sync(unsigned mask, T value, int lane) {
  return h1bench::emulation::FromLane(mask, value, lane);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int with) {
  return h1bench::emulation::FromLane(mask, value, h1bench::emulation::Lane() ^ with);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, int by) {
  const int lane = h1bench::emulation::Lane() + by;
  return h1bench::emulation::FromLane(mask, value, lane > 31 ? h1bench::emulation::Lane() : lane);
}
inline float rsqrtf(float x) { return 1.0F / std::sqrt(x); }
inline float __uint_as_float(unsigned bits) {
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}
inline unsigned __float_as_uint(float value) {
  unsigned out;
  std::memcpy(&out, &value, sizeof out);
  return out;
}

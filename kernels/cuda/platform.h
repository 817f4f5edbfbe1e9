#pragma once

/// One source, two compilers. nvcc compiles the kernels for the GPU; the host compiler compiles the
/// same files against emulation/, where a block's threads are fibers. What both need in one
/// spelling is here; everything else is plain CUDA.
#ifdef H1_CUDA_EMULATION
#include "kernels/cuda/emulation/simt.h"
#define H1_CUDA_NAMESPACE cuda_emulated
#else
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#define H1_CUDA_NAMESPACE cuda
/// An array in shared memory. All threads of the block execute the declaration.
#define H1_SHARED(type, name, count) __shared__ type name[count]
/// The block's dynamic shared memory, 1 KiB aligned (the copy engine's swizzle wants that).
#define H1_DYNAMIC_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]
#ifdef __CUDACC__
#define H1_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define H1_HOST_DEVICE inline
#endif
#define H1_DEVICE __device__ __forceinline__
#define H1_UNROLL _Pragma("unroll")
#endif

namespace h1bench::H1_CUDA_NAMESPACE {

inline constexpr unsigned kAllLanes = 0xFFFFFFFFU;
inline constexpr int kWarp = 32;

#if defined(__CUDACC__) || defined(H1_CUDA_EMULATION)
/// A kernel may start while the one before it on the stream still runs (Launch says so): before it
/// touches anything but weights, every thread of every kernel waits here for that one's end. From
/// then on the next kernel may start.
H1_DEVICE void WaitForKernelBefore() {
#ifdef H1_CUDA_EMULATION
  emulation::NoteWait();
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
#endif

/// How a kernel's threads work together. The emulation runs independent ones as a plain loop.
enum class Threads { kTogether, kIndependent };

struct LaunchShape {
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // dynamic
  Threads threads = Threads::kTogether;
};

#ifdef H1_CUDA_EMULATION
using Stream = int;
/// Runs every thread of every block, in this call; or leaves that to a graph, with the arguments as
/// they are now.
template <typename... Params, typename... Args>
void Launch(const char* name, void (*kernel)(Params...), const LaunchShape& shape, Stream stream,
            Args... args) {
  emulation::DoOn(stream, [=] {
    const auto body = [&] { kernel(static_cast<Params>(args)...); };
    emulation::Run(
        name, shape.grid, shape.block, shape.shared_bytes, shape.threads == Threads::kTogether,
        [](void* closure) { (*static_cast<decltype(body)*>(closure))(); },
        const_cast<void*>(static_cast<const void*>(&body)));
  });
}
#else
using Stream = cudaStream_t;
/// Remembers the first failed CUDA call of this thread, with its place; TakeError() in device.h
/// reads it.
void NoteError(cudaError_t error, const char* what);
/// With H1BENCH_CUDA_PROFILE=1 in the environment: times every kernel by itself (which slows the
/// whole down); ProfileReport() prints the sums to standard error and starts anew.
void ProfileBegin(const char* name, Stream stream);
void ProfileEnd(Stream stream);
void ProfileReport();
/// Whether kernels start while the one before ends: those of graphs that were begun so (device.h),
/// on compute capability 9.0 and newer, unless H1BENCH_CUDA_NO_OVERLAP is set.
bool MayStartEarly(Stream stream);
#ifdef __CUDACC__
/// Puts the kernel on the stream; a failure is noted, never thrown.
template <typename... Params, typename... Args>
void Launch(const char* name, void (*kernel)(Params...), const LaunchShape& shape, Stream stream,
            Args... args) {
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) return;
  if (shape.shared_bytes > 48 * 1024) {
    NoteError(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(shape.shared_bytes)),
              name);
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  cudaLaunchAttribute early = {};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &early;
  config.numAttrs = MayStartEarly(stream) ? 1 : 0;
  ProfileBegin(name, stream);
  NoteError(cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...), name);
  ProfileEnd(stream);
}
#endif
#endif

}  // namespace h1bench::H1_CUDA_NAMESPACE

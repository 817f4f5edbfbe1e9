// The emulation must catch what it is there for: a missing barrier, one that not all threads reach,
// a step outside an array (under AddressSanitizer).
#include <gtest/gtest.h>

#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/cuda/hopper.h"
#include "kernels/cuda/tensor.h"

namespace h1bench::cuda_emulated {
namespace {

using emulation::SetThreadOrder;
using emulation::ThreadOrder;

/// Reverses 64 numbers through shared memory, with or without the barrier that this needs.
template <bool kBarrier>
void ReverseKernel(const float* in, float* out) {
  WaitForKernelBefore();
  H1_SHARED(float, shared, 64);
  const int i = static_cast<int>(threadIdx.x);
  shared[i] = in[i];
  if constexpr (kBarrier) __syncthreads();
  out[i] = shared[63 - i];
}

template <bool kBarrier>
std::vector<float> Reverse(ThreadOrder order) {
  std::vector<float> in(64), out(64);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i);
  SetThreadOrder(order);
  Launch("reverse", ReverseKernel<kBarrier>, {dim3(1), dim3(64)}, 0, in.data(), out.data());
  SetThreadOrder(ThreadOrder::kForward);
  return out;
}

bool IsReversed(const std::vector<float>& v) {
  for (std::size_t i = 0; i < v.size(); ++i)
    if (!(v[i] == static_cast<float>(63 - i))) return false;
  return true;
}

TEST(Emulation, AMissingBarrierShowsInSomeOrder) {
  bool always = true;
  for (const ThreadOrder order :
       {ThreadOrder::kForward, ThreadOrder::kReverse, ThreadOrder::kShuffled}) {
    EXPECT_TRUE(IsReversed(Reverse<true>(order)));
    always = always && IsReversed(Reverse<false>(order));
  }
  EXPECT_FALSE(always);
}

void HastyKernel(float* out) { out[threadIdx.x] = 1; }
TEST(EmulationDeathTest, AKernelThatDoesNotWaitForTheOneBeforeEndsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::vector<float> out(32);
  EXPECT_DEATH(Launch("hasty", HastyKernel, {dim3(1), dim3(32)}, 0, out.data()),
               "hasty: a block does not wait for the kernel before");
}

void HalfKernel(int*) {
  if (threadIdx.x < 32) __syncthreads();
  if (threadIdx.x >= 32) emulation::NamedBarrier(1, 64);
}
TEST(EmulationDeathTest, ABarrierThatNotAllReachEndsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(Launch("half", HalfKernel, {dim3(1), dim3(64)}, 0, nullptr),
               "half: not all threads reach a barrier");
}

void WaitKernel(int*) {
  H1_SHARED(Barrier, barrier, 1);
  if (threadIdx.x == 0) BarrierInit(barrier, 2);
  __syncthreads();
  if (threadIdx.x == 0) BarrierArrive(barrier);
  BarrierWait(barrier, 0);  // the second arrival never comes
}
TEST(EmulationDeathTest, ACopyBarrierThatIsNeverCompleteEndsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(Launch("wait", WaitKernel, {dim3(1), dim3(32)}, 0, nullptr),
               "waits for a barrier in shared memory");
}

void CrookedCopyKernel(const float* from) {
  WaitForKernelBefore();
  H1_SHARED(float4, shared, 1);
  CopyAsync16(shared, from + 2);
}
TEST(EmulationDeathTest, ACopyFromACrookedAddressEndsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const DeviceMemory memory = *DeviceMemory::Allocate(64);
  EXPECT_DEATH(
      Launch("crooked", CrookedCopyKernel, {dim3(1), dim3(1)}, 0, memory.as<const float>()),
      "crooked.*no multiple of 16");
}

#if defined(__SANITIZE_ADDRESS__)
void OutsideKernel(float* global) {
  H1_SHARED(float, shared, 32);
  const int i = static_cast<int>(threadIdx.x);
  if (global == nullptr) {
    shared[i + 1] = 1;  // thread 31 steps outside
  } else {
    global[i + 1] = 1;
  }
}
TEST(EmulationDeathTest, StepsOutsideSharedAndGlobalArraysAreSeen) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(Launch("outside", OutsideKernel, {dim3(1), dim3(32)}, 0, nullptr),
               "heap-buffer-overflow");
  const DeviceMemory memory = *DeviceMemory::Allocate(32 * 4);
  EXPECT_DEATH(Launch("outside", OutsideKernel, {dim3(1), dim3(32)}, 0, memory.as<float>()),
               "heap-buffer-overflow");
}
#endif

/// Shuffles, and the order of fibers, as CUDA defines them.
void ShuffleKernel(int* out) {
  WaitForKernelBefore();
  const int lane = static_cast<int>(threadIdx.x);
  out[lane] = __shfl_xor_sync(kAllLanes, lane, 5) * 100 + __shfl_sync(kAllLanes, lane, 7);
}
TEST(Emulation, Shuffles) {
  for (const ThreadOrder order : {ThreadOrder::kForward, ThreadOrder::kReverse}) {
    SetThreadOrder(order);
    std::vector<int> out(32);
    Launch("shuffle", ShuffleKernel, {dim3(1), dim3(32)}, 0, out.data());
    for (int lane = 0; lane < 32; ++lane)
      EXPECT_EQ(out[static_cast<std::size_t>(lane)], (lane ^ 5) * 100 + 7);
  }
  SetThreadOrder(ThreadOrder::kForward);
}

/// Kernels and copies of a graph run when it is launched, each time, with the arguments they had
/// when they were captured and what then lies there.
void AddKernel(const int* from, int add, int* to) {
  WaitForKernelBefore();
  if (threadIdx.x == 0) *to += *from + add;
}
TEST(Emulation, AGraphRunsWhatWasCaptured) {
  int in = 1, sum = 0, copy = -1, add = 10;
  const auto step = [&] {
    Launch("add", AddKernel, {dim3(1), dim3(32)}, 0, &in, add, &sum);
    CopyToHost(&copy, &sum, sizeof sum, 0);
  };
  Graph graph;
  Graph::BeginCapture(0, false);
  step();
  graph.EndCapture(0);
  EXPECT_EQ(sum, 0);
  EXPECT_EQ(copy, -1);
  ASSERT_TRUE(graph.ready());
  add = 1000;  // an argument: the graph keeps the old one
  in = 2;      // memory: the graph reads the new
  graph.Launch(0);
  EXPECT_EQ(copy, 12);
  graph.Launch(0);
  EXPECT_EQ(copy, 24);
  step();  // nothing is captured any more
  EXPECT_EQ(copy, 1026);
}

/// Work of a branch is done when it is joined, not before: a stream that does not wait for it sees
/// the old number, in a graph as without one.
TEST(Emulation, ABranchIsDoneWhenItIsJoined) {
  int one = 1, sum = 0, seen = 0;
  Branch branch;
  ASSERT_TRUE(branch.Create().ok());
  const auto step = [&](bool join) {
    branch.Fork(0);
    Launch("add", AddKernel, {dim3(1), dim3(32)}, branch.stream(), &one, 0, &sum);
    if (join) branch.Join(0);
    CopyToHost(&seen, &sum, sizeof sum, 0);
    branch.Join(0);
  };
  step(true);
  EXPECT_EQ(seen, 1);
  step(false);
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(sum, 2);
  Graph graph;
  Graph::BeginCapture(0, false);
  step(true);
  graph.EndCapture(0);
  EXPECT_EQ(sum, 2);
  graph.Launch(0);
  EXPECT_EQ(seen, 3);
}

/// Matrix m's element (row, column) is 1000 m + 10 row + column; it comes back at (column, row).
void TransposeKernel(std::uint16_t* out) {
  WaitForKernelBefore();
  H1_SHARED(std::uint16_t, shared, 256);
  const int lane = static_cast<int>(threadIdx.x), row = lane / 4, column = lane % 4 * 2;
  unsigned in[4];
  for (int m = 0; m < 4; ++m) {
    const auto low = static_cast<unsigned>(1000 * m + 10 * row + column);
    in[m] = low | (low + 1) << 16;
  }
  StoreMatrix4Transposed(shared + lane * 8, in);
  __syncwarp();
  for (int i = 0; i < 8; ++i) out[lane * 8 + i] = shared[lane * 8 + i];
}
TEST(Emulation, MatricesAreStoredTransposed) {
  std::vector<std::uint16_t> out(256);
  Launch("transpose", TransposeKernel, {dim3(1), dim3(32)}, 0, out.data());
  for (int i = 0; i < 256; ++i) {
    const int matrix = i / 64, row = i / 8 % 8, column = i % 8;
    EXPECT_EQ(out[static_cast<std::size_t>(i)], 1000 * matrix + 10 * column + row);
  }
}

TEST(Emulation, MemoryRunsOutAsOnACard) {
  emulation::SetMemoryLimit(1 << 20);
  const auto more = DeviceMemory::Allocate(2 << 20);
  emulation::SetMemoryLimit(0);
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.status().code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace h1bench::cuda_emulated

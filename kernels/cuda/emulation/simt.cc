#include "kernels/cuda/emulation/simt.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace h1bench::emulation {

constinit thread_local ThreadContext* current = nullptr;

namespace {

namespace ctx = boost::context;
constexpr std::size_t kStackBytes = 256 * 1024;
constexpr int kWarpLanes = 32;

ThreadOrder g_order = ThreadOrder::kForward;
std::int64_t g_memory_limit = 0;
int g_major = 8, g_minor = 0;
thread_local bool g_capturing = false;
thread_local Work g_captured;
thread_local std::int64_t g_replays = 0;

enum class Wait { kNone, kBlock, kNamed, kWarp, kPoll, kDone };

/// One CUDA thread. Its fiber is kept and runs a thread of block after block.
struct Fiber {
  ctx::fiber fiber;
  ctx::fiber back;
  ThreadContext context;
  Wait wait = Wait::kDone;
  unsigned mask = 0;
  int barrier = 0, barrier_threads = 0;
  std::size_t static_shared = 0;
#if defined(__SANITIZE_ADDRESS__)
  void* fake_stack = nullptr;
  const void* stack_bottom = nullptr;
  std::size_t stack_size = 0;
#endif
};

struct Machine {
  ~Machine();
  std::vector<std::unique_ptr<Fiber>> fibers;
  Fiber* const* all = nullptr;  // the same, without asking a vector
  std::vector<Fiber*> pointers;
  std::vector<unsigned char> exchange;  // (threads, 2, kExchange)
  std::size_t live = 0;                 // threads of the running block
  Fiber* running = nullptr;
  Body body = nullptr;
  void* closure = nullptr;
  const char* name = "";
  bool together = true, waited = false;
  bool ending = false;  // a fiber that is resumed now returns
  struct Free {
    void operator()(unsigned char* p) const { std::free(p); }
  };
  std::vector<std::unique_ptr<unsigned char, Free>> static_shared;
  std::vector<std::size_t> static_sizes;
  unsigned char* dynamic_shared = nullptr;
#if defined(__SANITIZE_ADDRESS__)
  void* main_fake_stack = nullptr;
  const void* main_bottom = nullptr;
  std::size_t main_size = 0;
#endif
};
thread_local Machine machine;

[[noreturn]] void Die(const std::string& what) {
  fmt::print(stderr, "emulated kernel {}: {}\n", machine.name, what);
  std::fflush(stderr);
  std::abort();
}

void SwitchBack(Fiber& fiber) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fiber.fake_stack, machine.main_bottom, machine.main_size);
#endif
  fiber.back = std::move(fiber.back).resume();
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fiber.fake_stack, &machine.main_bottom, &machine.main_size);
#endif
}

ctx::fiber FiberMain(Fiber* self, ctx::fiber&& back) {
  self->back = std::move(back);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &machine.main_bottom, &machine.main_size);
#endif
  while (!machine.ending) {
    machine.body(machine.closure);
    self->wait = Wait::kDone;
    SwitchBack(*self);
  }
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(nullptr, machine.main_bottom, machine.main_size);
#endif
  return std::move(self->back);
}

void Resume(Fiber& fiber) {
  machine.running = &fiber;
  current = &fiber.context;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&machine.main_fake_stack, fiber.stack_bottom, fiber.stack_size);
#endif
  fiber.fiber = std::move(fiber.fiber).resume();
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(machine.main_fake_stack, nullptr, nullptr);
#endif
}

/// Lets every fiber return: one that is destroyed instead is unwound by an exception, on a stack
/// that AddressSanitizer was not told of. (In the middle of a kernel the program ends, see Die.)
Machine::~Machine() {
  ending = true;
  for (const std::unique_ptr<Fiber>& fiber : fibers) Resume(*fiber);
  current = nullptr;
}

void Reserve(std::size_t threads) {
  while (machine.fibers.size() < threads) {
    auto fiber = std::make_unique<Fiber>();
    Fiber* raw = fiber.get();
    ctx::fixedsize_stack allocator(kStackBytes);
    ctx::stack_context stack = allocator.allocate();
#if defined(__SANITIZE_ADDRESS__)
    raw->stack_bottom = static_cast<char*>(stack.sp) - stack.size;
    raw->stack_size = stack.size;
#endif
    fiber->fiber =
        ctx::fiber(std::allocator_arg, ctx::preallocated(stack.sp, stack.size, stack), allocator,
                   [raw](ctx::fiber&& back) { return FiberMain(raw, std::move(back)); });
    machine.pointers.push_back(raw);
    machine.fibers.push_back(std::move(fiber));
  }
  machine.all = machine.pointers.data();
  machine.exchange.resize(machine.fibers.size() * 2 * kExchange + kWarpLanes * 2 * kExchange);
}

void Yield(Wait wait) {
  Fiber* self = machine.running;
  if (!machine.together) Die("a barrier in a kernel that was launched as Threads::kIndependent");
  self->wait = wait;
  SwitchBack(*self);
}

inline Fiber& At(std::size_t i) { return *machine.all[i]; }

/// Lets a warp's lanes go whose whole mask has arrived. True when some did.
bool ReleaseWarp(std::size_t first) {
  bool any = false;
  const std::size_t end = std::min(first + kWarpLanes, machine.live);
  // The usual case first: every lane waits for the same mask.
  std::size_t same = 0;
  while (first + same < end && At(first + same).wait == Wait::kWarp &&
         At(first + same).mask == At(first).mask)
    ++same;
  if (first + same == end && At(first).mask == ~0U) {
    for (std::size_t i = first; i < end; ++i) At(i).wait = Wait::kNone;
    return true;
  }
  for (std::size_t i = first; i < end; ++i) {
    if (At(i).wait != Wait::kWarp) continue;
    const unsigned mask = At(i).mask;
    bool all = true;
    for (std::size_t lane = 0; lane < kWarpLanes; ++lane) {
      if ((mask >> lane & 1U) == 0) continue;
      const std::size_t j = first + lane;
      if (j >= machine.live || At(j).wait == Wait::kDone) continue;  // exited lanes count as there
      all = all && At(j).wait == Wait::kWarp && At(j).mask == mask;
    }
    if (!all) continue;
    for (std::size_t j = first; j < end; ++j)
      if (At(j).wait == Wait::kWarp && At(j).mask == mask) At(j).wait = Wait::kNone;
    any = true;
  }
  return any;
}

/// Runs a warp until all its lanes wait for something outside it.
void RunWarp(std::size_t first, const std::vector<std::size_t>& order) {
  do {
    for (const std::size_t lane : order) {
      const std::size_t i = first + lane;
      if (i < machine.live && At(i).wait == Wait::kNone) Resume(At(i));
    }
  } while (ReleaseWarp(first));
}

bool ReleaseBlock() {
  std::size_t waiting = 0, done = 0;
  for (std::size_t i = 0; i < machine.live; ++i) {
    waiting += At(i).wait == Wait::kBlock;
    done += At(i).wait == Wait::kDone;
  }
  if (waiting == 0 || waiting + done != machine.live) return false;
  for (std::size_t i = 0; i < machine.live; ++i)
    if (At(i).wait == Wait::kBlock) At(i).wait = Wait::kNone;
  return true;
}

bool ReleaseNamed() {
  for (std::size_t i = 0; i < machine.live; ++i) {
    if (At(i).wait != Wait::kNamed) continue;
    int count = 0;
    for (std::size_t j = 0; j < machine.live; ++j)
      count += At(j).wait == Wait::kNamed && At(j).barrier == At(i).barrier;
    if (count < At(i).barrier_threads) continue;
    const int id = At(i).barrier;
    for (std::size_t j = 0; j < machine.live; ++j)
      if (At(j).wait == Wait::kNamed && At(j).barrier == id) At(j).wait = Wait::kNone;
    return true;
  }
  return false;
}

/// Threads that poll look again. Counts as progress for kIdleRounds rounds only.
constexpr int kIdleRounds = 100000;
bool ReleasePolls() {
  bool any = false;
  for (std::size_t i = 0; i < machine.live; ++i) {
    if (At(i).wait != Wait::kPoll) continue;
    At(i).wait = Wait::kNone;
    any = true;
  }
  return any;
}

[[noreturn]] void ReportStuck() {
  std::string text = "not all threads reach a barrier:";
  int named = 0;
  for (std::size_t i = 0; i < machine.live && named < 8; ++i) {
    const Wait wait = At(i).wait;
    if (wait == Wait::kNone) continue;
    text += fmt::format(" thread {} {};", i,
                        wait == Wait::kBlock   ? "waits at __syncthreads"
                        : wait == Wait::kNamed ? "waits at a named barrier"
                        : wait == Wait::kWarp  ? "waits in a warp operation"
                        : wait == Wait::kPoll  ? "waits for a barrier in shared memory"
                                               : "has ended");
    ++named;
  }
  Die(text);
}

std::vector<std::size_t> Order(std::size_t count, std::uint64_t salt) {
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = i;
  if (g_order == ThreadOrder::kReverse) std::reverse(order.begin(), order.end());
  if (g_order == ThreadOrder::kShuffled) {
    std::mt19937_64 random(salt);
    std::shuffle(order.begin(), order.end(), random);
  }
  return order;
}

void RunBlock(dim3 grid, dim3 block, dim3 at, bool together) {
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  machine.live = threads;
  machine.static_shared.clear();
  machine.static_sizes.clear();
  for (std::size_t i = 0; i < threads; ++i) {
    Fiber& fiber = At(i);
    fiber.context.thread =
        dim3(static_cast<unsigned>(i % block.x), static_cast<unsigned>(i / block.x % block.y),
             static_cast<unsigned>(i / block.x / block.y));
    fiber.context.block = at;
    fiber.context.block_dim = block;
    fiber.context.grid_dim = grid;
    const std::size_t warp = i / kWarpLanes * kWarpLanes;
    fiber.context.lane = static_cast<int>(i - warp);
    fiber.context.lanes = static_cast<int>(std::min<std::size_t>(kWarpLanes, threads - warp));
    fiber.context.parity = 0;
    fiber.context.warp = machine.exchange.data() + warp * 2 * kExchange;
    fiber.wait = Wait::kNone;
    fiber.static_shared = 0;
  }
  if (!together) {
    for (const std::size_t i : Order(threads, 1)) {
      machine.running = &At(i);
      current = &At(i).context;
      machine.body(machine.closure);
    }
    return;
  }
  const std::vector<std::size_t> lanes = Order(kWarpLanes, at.x * 31ULL + at.y);
  const std::vector<std::size_t> warps =
      Order((threads + kWarpLanes - 1) / kWarpLanes, at.x + 7ULL);
  int idle = 0;
  for (;;) {
    for (const std::size_t warp : warps) RunWarp(warp * kWarpLanes, lanes);
    bool done = true;
    for (std::size_t i = 0; i < threads; ++i) done = done && At(i).wait == Wait::kDone;
    if (done) return;
    const bool released = ReleaseBlock() || ReleaseNamed();
    idle = released ? 0 : idle + 1;
    if (idle > kIdleRounds) ReportStuck();
    if (!ReleasePolls() && !released) ReportStuck();
  }
}

}  // namespace

void SetThreadOrder(ThreadOrder order) { g_order = order; }
void SetMemoryLimit(std::int64_t bytes) { g_memory_limit = bytes; }
std::int64_t MemoryLimit() { return g_memory_limit; }
void SetCapability(int major, int minor) { g_major = major, g_minor = minor; }
int CapabilityMajor() { return g_major; }
int CapabilityMinor() { return g_minor; }

void BeginCapture() {
  g_captured.clear();
  g_capturing = true;
}
Work EndCapture() {
  g_capturing = false;
  return std::exchange(g_captured, {});
}
void Replay(const Work& work) {
  for (const auto& step : work) step();
  ++g_replays;
}
std::int64_t Replays() { return g_replays; }
Work& BranchWork() {
  thread_local Work work;
  return work;
}
void DoBranch() {
  for (std::function<void()>& work : std::exchange(BranchWork(), {})) Do(std::move(work));
}
Work* Capturing() { return g_capturing ? &g_captured : nullptr; }

void Run(const char* name, dim3 grid, dim3 block, std::size_t shared_bytes, bool together,
         Body body, void* closure) {
  machine.name = name;
  machine.together = together;
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > 1024) Die(fmt::format("{} threads in a block", threads));
  if (shared_bytes > 227 * 1024) Die(fmt::format("{} bytes of shared memory", shared_bytes));
  Reserve(threads);
  machine.body = body;
  machine.closure = closure;
  const std::size_t blocks = std::size_t{grid.x} * grid.y * grid.z;
  for (const std::size_t i : Order(blocks, 3)) {
    // A fresh block of exactly this size each time: nothing left over, and nothing beyond it.
    void* shared = nullptr;
    if (shared_bytes > 0 && posix_memalign(&shared, 1024, shared_bytes) != 0) Die("out of memory");
    if (shared != nullptr)
      std::memset(shared, 0xFF, shared_bytes);  // NaN: nobody may rely on zeros
    machine.dynamic_shared = static_cast<unsigned char*>(shared);
    machine.waited = false;
    RunBlock(grid, block,
             dim3(static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                  static_cast<unsigned>(i / grid.x / grid.y)),
             together);
    if (!machine.waited) Die("a block does not wait for the kernel before (WaitForKernelBefore)");
    std::free(shared);
  }
  machine.live = 0;
  machine.static_shared.clear();
  current = nullptr;
}

const char* LastKernel() { return machine.name; }

void NoteWait() { machine.waited = true; }

void Poll() { Yield(Wait::kPoll); }

void BlockBarrier() { Yield(Wait::kBlock); }

void NamedBarrier(int id, int threads) {
  machine.running->barrier = id;
  machine.running->barrier_threads = threads;
  Yield(Wait::kNamed);
}

void WarpBarrier(unsigned mask) {
  machine.running->mask = mask;
  Yield(Wait::kWarp);
}

void Show(unsigned mask, const void* value, std::size_t bytes) {
  if (bytes > kExchange) Die("a warp operation on too many bytes");
  ThreadContext& own = *current;
  own.parity ^= 1;
  std::memcpy(own.warp + static_cast<std::size_t>(own.lane * 2 + own.parity) * kExchange, value,
              bytes);
  WarpBarrier(mask);
}

void Misaligned() { Die("a copy of 16 bytes from or to an address that is no multiple of 16"); }
void NoSuchLane() { Die("a warp operation reads a lane that is not there"); }

void* StaticShared(std::size_t bytes) {
  const std::size_t index = machine.running->static_shared++;
  if (index == machine.static_shared.size()) {
    void* memory = nullptr;
    if (posix_memalign(&memory, 16, bytes) != 0) Die("out of memory");
    std::memset(memory, 0xFF, bytes);
    machine.static_shared.emplace_back(static_cast<unsigned char*>(memory));
    machine.static_sizes.push_back(bytes);
  }
  if (machine.static_sizes[index] != bytes) Die("threads declare different shared arrays");
  return machine.static_shared[index].get();
}

void* DynamicShared() { return machine.dynamic_shared; }

}  // namespace h1bench::emulation

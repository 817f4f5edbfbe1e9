#include "kernels/cpu/threads.h"

#include <sched.h>

#include <algorithm>
#include <chrono>

namespace h1bench::cpu {
namespace {

thread_local ThreadPool* current_pool = nullptr;
thread_local int thread_index = 0;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Waits for `ready`, for some 100 microseconds: longer than what lies between two loops of one
/// Forward, as to wake a sleeping core takes that long too.
template <typename Ready>
bool Spin(const Ready& ready) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(100);
  do {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      Pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

/// The cores this thread may run on; empty when there are more than the C library's type holds.
std::vector<int> AllowedCores() {
  cpu_set_t mine;
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof mine, &mine) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &mine)) cores.push_back(core);
  return cores;
}

void StayOn(int core) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(core, &one);
  sched_setaffinity(0, sizeof one, &one);  // only a wish: where it fails, the loops still run
}

constexpr std::uint64_t kLeft = 0xFFFFFFFF;

}  // namespace

int ThreadCount(int wanted) {
  if (wanted > 0) return wanted;
  const std::vector<int> cores = AllowedCores();
  if (!cores.empty()) return static_cast<int>(cores.size());
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

ThreadPool::ThreadPool(int threads) : cores_(AllowedCores()) {
  // With fewer threads than cores, others' work may want the rest: the system chooses.
  if (static_cast<int>(cores_.size()) != threads || threads == 1) cores_.clear();
  for (int i = 1; i < threads; ++i) threads_.emplace_back([this, i] { Work(i); });
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool ThreadPool::TakeOne() {
  std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
  do {
    if ((ticket & kLeft) == 0) return false;
  } while (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel));
  const std::int64_t count = count_;
  body_(context_, count - static_cast<std::int64_t>(ticket & kLeft));
  if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) done_.notify_all();
  return true;
}

void ThreadPool::Work(int index) {
  thread_index = index;
  if (!cores_.empty()) StayOn(cores_[static_cast<std::size_t>(index)]);
  while (!stop_) {
    const std::uint32_t seen = generation_.load(std::memory_order_acquire);
    while (TakeOne()) {
    }
    const bool more = Spin([&] { return generation_.load(std::memory_order_acquire) != seen; });
    if (!more) generation_.wait(seen);
  }
}

void ThreadPool::Run(std::int64_t count, Body body, const void* context) {
  if (count <= 0) return;
  body_ = body;
  context_ = context;
  count_ = count;
  done_.store(0, std::memory_order_relaxed);
  const std::uint64_t number = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  ticket_.store(number << 32 | static_cast<std::uint64_t>(count), std::memory_order_release);
  generation_.fetch_add(1, std::memory_order_acq_rel);
  generation_.notify_all();
  while (TakeOne()) {
  }
  Spin([&] { return done_.load(std::memory_order_acquire) == count; });
  for (std::int64_t done = done_.load(std::memory_order_acquire); done != count;
       done = done_.load(std::memory_order_acquire)) {
    done_.wait(done);
  }
}

ThreadScope::ThreadScope(ThreadPool& pool) : before_(current_pool), moved_(pool.first_core() >= 0) {
  current_pool = &pool;
  moved_ = moved_ && sched_getaffinity(0, sizeof cores_before_, &cores_before_) == 0;
  if (moved_) StayOn(pool.first_core());
}

ThreadScope::~ThreadScope() {
  current_pool = before_;
  if (moved_) sched_setaffinity(0, sizeof cores_before_, &cores_before_);
}

ThreadPool* CurrentPool() { return current_pool; }
int ThreadIndex() { return thread_index; }

}  // namespace h1bench::cpu

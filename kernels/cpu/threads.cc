#include "kernels/cpu/threads.h"

#include <omp.h>

#include <algorithm>

namespace h1bench::cpu {
namespace {

thread_local ThreadPool* current_pool = nullptr;
thread_local int thread_index = 0;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Waits for `ready`, for about 30 microseconds.
template <typename Ready>
bool Spin(const Ready& ready) {
  for (int i = 0; i < 1500; ++i) {
    if (ready()) return true;
    Pause();
  }
  return ready();
}

constexpr std::uint64_t kLeft = 0xFFFFFFFF;

}  // namespace

int ThreadCount(int wanted) { return wanted > 0 ? wanted : std::max(1, omp_get_num_procs()); }

ThreadPool::ThreadPool(int threads) {
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
  omp_set_num_threads(1);
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

ThreadScope::ThreadScope(ThreadPool& pool)
    : before_(current_pool), openmp_before_(omp_get_max_threads()) {
  current_pool = &pool;
  omp_set_num_threads(1);
}

ThreadScope::~ThreadScope() {
  current_pool = before_;
  omp_set_num_threads(openmp_before_);
}

ThreadPool* CurrentPool() { return current_pool; }
int ThreadIndex() { return thread_index; }

}  // namespace h1bench::cpu

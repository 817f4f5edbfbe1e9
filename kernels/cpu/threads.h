#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

/// A pool of threads for loops whose bodies do not depend on each other. Pieces are claimed one by
/// one, so a core that is busy with another process delays one piece and not the loop; threads that
/// find nothing spin some microseconds, then sleep. (OpenMP's pool splits loops beforehand and
/// spins: with two processes on two cores it was 20 times slower.) A pool with a thread for every
/// core keeps one on each: some systems otherwise run two on one core and leave the other idle.
/// (Made outside of every ThreadScope: inside, the caller's thread has one core.)
namespace h1bench::cpu {

/// Threads for `wanted` (0: all cores this process may use).
int ThreadCount(int wanted);

class ThreadPool {
 public:
  /// `threads` with the caller of Run, which works too.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(threads_.size()) + 1; }
  /// Where the caller's thread belongs; -1: anywhere.
  int first_core() const { return cores_.empty() ? -1 : cores_.front(); }

  using Body = void (*)(const void* context, std::int64_t index);
  /// body(context, i) for every 0 <= i < count < 2^32, each once; returns when all are done. One
  /// caller at a time; bodies must not throw.
  void Run(std::int64_t count, Body body, const void* context);

 private:
  void Work(int index);
  bool TakeOne();

  // How many pieces are left to claim, and above that the number of the loop: a thread that slept
  // through a loop cannot claim from the next by mistake. body_, context_ and count_ stay as they
  // are while a claimed piece is not done.
  std::atomic<std::uint64_t> ticket_ = 0;
  std::atomic<std::int64_t> done_ = 0;
  std::atomic<std::uint32_t> generation_ = 0;
  std::atomic<bool> stop_ = false;
  Body body_ = nullptr;
  const void* context_ = nullptr;
  std::int64_t count_ = 0;
  std::vector<int> cores_;  // of each thread; empty: the system's choice
  std::vector<std::thread> threads_;
};

/// While it lives, ParallelFor on this thread uses `pool`, and the thread stays on its core of it.
class ThreadScope {
 public:
  explicit ThreadScope(ThreadPool& pool);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;

 private:
  ThreadPool* before_;
  bool moved_;
  cpu_set_t cores_before_;
};

/// The pool of the innermost ThreadScope, or null.
ThreadPool* CurrentPool();
/// 0 for the caller of a loop, 1 … for the pool's other threads.
int ThreadIndex();

/// body(i) for 0 <= i < count, each exactly once, by any thread: bodies must not add into shared
/// numbers, nor throw.
template <typename Body>
void ParallelFor(std::int64_t count, const Body& body) {
  ThreadPool* pool = CurrentPool();
  if (pool == nullptr || count <= 1) {
    for (std::int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  pool->Run(
      count, [](const void* context, std::int64_t i) { (*static_cast<const Body*>(context))(i); },
      &body);
}

/// The same over the rows of a batch, several at a time when there are many: to claim a piece
/// costs as much as a short row.
template <typename Body>
void ParallelRows(std::int64_t rows, const Body& body) {
  const std::int64_t threads = CurrentPool() == nullptr ? 1 : CurrentPool()->threads();
  const std::int64_t together = rows >= 32 * threads ? 8 : 1;
  ParallelFor((rows + together - 1) / together, [&](std::int64_t piece) {
    const std::int64_t end = std::min(rows, (piece + 1) * together);
    for (std::int64_t row = piece * together; row < end; ++row) body(row);
  });
}

}  // namespace h1bench::cpu

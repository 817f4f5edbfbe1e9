#pragma once

#include <omp.h>

#include <cstdint>

/// The one pool of threads: OpenMP, which oneDNN uses too, so that the two never compete for the
/// cores.
namespace h1bench::cpu {

/// Threads for `wanted` (0: all cores this process may use).
inline int ThreadCount(int wanted) { return wanted > 0 ? wanted : omp_get_num_procs(); }

/// While it lives, parallel regions of this thread use `threads` threads.
class ThreadScope {
 public:
  explicit ThreadScope(int threads) : before_(omp_get_max_threads()) {
    omp_set_num_threads(threads);
  }
  ~ThreadScope() { omp_set_num_threads(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

/// body(i) for 0 <= i < count, each exactly once, by any thread: bodies must not add into shared
/// numbers.
template <typename Body>
void ParallelFor(std::int64_t count, const Body& body) {
  if (count <= 1) {
    for (std::int64_t i = 0; i < count; ++i) body(i);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1)
  for (std::int64_t i = 0; i < count; ++i) body(i);
}

inline int ThreadIndex() { return omp_get_thread_num(); }

}  // namespace h1bench::cpu

#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace h1bench::tasks {

/// Calls work(i) for 0 <= i < n on all cores, from the last to the first; what it writes must be
/// its own.
template <typename Work>
void ParallelFor(std::size_t n, const Work& work) {
  std::atomic<std::size_t> left = n;
  const auto loop = [&] {
    for (std::size_t i = left.load(); i > 0;) {
      if (left.compare_exchange_weak(i, i - 1)) {
        work(i - 1);
        i = left.load();
      }
    }
  };
  std::vector<std::thread> helpers;
  for (std::size_t i = 1; i < std::min<std::size_t>(std::thread::hardware_concurrency(), n); ++i)
    helpers.emplace_back(loop);
  loop();
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace h1bench::tasks

// The thread pool: every piece once, whatever the timing.
#include "kernels/cpu/threads.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

namespace h1bench::cpu {
namespace {

TEST(ThreadPool, EveryPieceOnce) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    const ThreadScope scope(pool);
    for (std::int64_t count = 0; count < 3000; count = count * 3 / 2 + 1) {
      std::vector<int> times(static_cast<std::size_t>(count), 0);
      ParallelFor(count, [&](std::int64_t i) { ++times[static_cast<std::size_t>(i)]; });
      EXPECT_EQ(times, std::vector<int>(static_cast<std::size_t>(count), 1));
    }
  }
}

TEST(ThreadPool, ShortLoopsOneAfterTheOther) {
  ThreadPool pool(3);
  const ThreadScope scope(pool);
  std::atomic<std::int64_t> sum = 0;
  for (int loop = 0; loop < 20000; ++loop) {
    ParallelFor(3, [&](std::int64_t i) { sum += i; });
    ASSERT_EQ(sum, 3 * (loop + 1));  // nothing of this loop is left when it returns
  }
}

TEST(ThreadPool, SleepersWake) {
  ThreadPool pool(2);
  const ThreadScope scope(pool);
  std::atomic<int> workers = 0;
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // long enough that the others sleep
    ParallelFor(2, [&](std::int64_t) {
      if (ThreadIndex() == 1) ++workers;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    });
  }
  EXPECT_GT(workers, 0);
}

/// Some systems run two busy threads on one core and leave the other idle.
TEST(ThreadPool, OneThreadOnEveryCore) {
  const int cores = ThreadCount(0);
  if (cores == 1) GTEST_SKIP() << "one core";
  cpu_set_t before, after;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  {
    ThreadPool pool(cores);
    const ThreadScope scope(pool);
    std::vector<std::atomic<int>> where(static_cast<std::size_t>(cores));
    std::atomic<int> arrived = 0;
    ParallelFor(cores, [&](std::int64_t) {
      where[static_cast<std::size_t>(ThreadIndex())] = sched_getcpu();
      ++arrived;
      while (arrived < cores) sched_yield();  // so that every thread takes one piece
    });
    std::set<int> distinct;
    for (const auto& core : where) distinct.insert(core);
    EXPECT_EQ(distinct.size(), static_cast<std::size_t>(cores));
  }
  ASSERT_EQ(sched_getaffinity(0, sizeof after, &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));  // the caller may run where it could
  ThreadPool fewer(cores - 1);
  EXPECT_EQ(fewer.first_core(), -1);
}

TEST(ThreadPool, WithoutAPoolLoopsAreSerial) {
  EXPECT_EQ(CurrentPool(), nullptr);
  std::vector<std::int64_t> order;
  ParallelFor(4, [&](std::int64_t i) { order.push_back(i); });
  EXPECT_EQ(order, (std::vector<std::int64_t>{0, 1, 2, 3}));
}

}  // namespace
}  // namespace h1bench::cpu

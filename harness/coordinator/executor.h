#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

namespace h1bench {

/// The one thread that owns the store and the coordinator. Everybody else posts to it; the queue is
/// bounded, so that a flood of calls is turned away instead of eating memory.
class Executor {
 public:
  /// `tick` runs on the thread between tasks, about every `interval`.
  Executor(std::chrono::milliseconds interval, std::function<void()> tick);
  /// Runs what is queued, then ends.
  ~Executor();

  /// False when the queue is full. Thread-safe, never blocks on work.
  bool Post(std::function<void()> task);
  /// As Post, but for our own threads: never turned away.
  void PostAlways(std::function<void()> task);
  /// Runs `task` there and waits for its value.
  template <typename F>
  auto Call(F task) -> decltype(task()) {
    std::packaged_task<decltype(task())()> packaged(std::move(task));
    auto result = packaged.get_future();
    PostAlways([&packaged] { packaged(); });
    return result.get();
  }

 private:
  static constexpr std::size_t kQueueLimit = 4096;
  void Work();

  std::chrono::milliseconds interval_;
  std::function<void()> tick_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace h1bench

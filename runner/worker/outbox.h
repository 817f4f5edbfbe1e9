#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "base/status.h"

/// Hands one lease's batches over in a thread of its own, in order, so that the engine does not
/// wait for the coordinator's disk.
namespace h1bench {

template <typename Batch>
class Outbox {
 public:
  /// `send` runs in the outbox's thread, for one batch at a time.
  explicit Outbox(std::function<Status(Batch&)> send)
      : send_(std::move(send)), thread_([this] { Work(); }) {}
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;
  ~Outbox() { (void)Close(); }

  /// Takes a batch; waits while kMost others do. False when one before could not be sent: this one
  /// is dropped then, as all that wait are.
  bool Put(Batch batch) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return waiting_.size() < kMost || !status_.ok(); });
    if (!status_.ok()) return false;
    waiting_.push_back(std::move(batch));
    work_.notify_one();
    return true;
  }

  /// Waits until all is sent or one failed, and says which.
  Status Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    work_.notify_one();
    if (thread_.joinable()) thread_.join();
    return status_;
  }

 private:
  static constexpr std::size_t kMost = 16;

  void Work() {
    std::unique_lock lock(mutex_);
    while (true) {
      work_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      Batch batch = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      Status sent = send_(batch);
      lock.lock();
      if (!sent.ok()) {
        status_ = std::move(sent);
        waiting_.clear();
      }
      room_.notify_one();
    }
  }

  std::function<Status(Batch&)> send_;
  std::mutex mutex_;
  std::condition_variable work_, room_;
  std::deque<Batch> waiting_;
  bool closed_ = false;
  Status status_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace h1bench

#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

/// Fetches things in a thread of its own before they are asked for, so that who uses them need not
/// wait.
namespace h1bench {

template <typename Thing>
class Ahead {
 public:
  /// In Ahead's thread; may take long. Null: there is none now.
  using Fetch = std::function<std::unique_ptr<Thing>()>;
  using Weigh = std::function<std::int64_t(const Thing&)>;

  /// Fetches while less than `enough` waits, by weight, and fewer than `most`. After a fetch that
  /// found none it pauses.
  Ahead(Fetch fetch, Weigh weigh, std::int64_t enough, std::size_t most,
        std::chrono::milliseconds pause = std::chrono::milliseconds(250))
      : fetch_(std::move(fetch)),
        weigh_(std::move(weigh)),
        enough_(enough),
        most_(most),
        pause_(pause),
        thread_([this] { Work(); }) {}
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;
  ~Ahead() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  /// The first that waits, or null. `wait`: a fetch under way is waited for, and when it found
  /// none either, nothing is fetched any more.
  std::unique_ptr<Thing> Take(bool wait) {
    std::unique_lock lock(mutex_);
    if (wait) changed_.wait(lock, [this] { return !waiting_.empty() || idle_; });
    if (waiting_.empty()) {
      closed_ = closed_ || wait;
      return nullptr;
    }
    std::unique_ptr<Thing> first = std::move(waiting_.front());
    waiting_.pop_front();
    weight_ -= weigh_(*first);
    changed_.notify_all();
    return first;
  }

 private:
  bool Enough() const { return weight_ >= enough_ || waiting_.size() >= most_; }

  void Work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return closed_ || waiting_.empty() || !Enough(); });
      if (closed_) break;
      lock.unlock();
      std::unique_ptr<Thing> thing = fetch_();
      lock.lock();
      if (thing != nullptr) {
        weight_ += weigh_(*thing);
        waiting_.push_back(std::move(thing));
        changed_.notify_all();
        continue;
      }
      idle_ = true;
      changed_.notify_all();
      changed_.wait_for(lock, pause_, [this] { return closed_; });
      idle_ = closed_;
    }
    idle_ = true;
    changed_.notify_all();
  }

  Fetch fetch_;
  Weigh weigh_;
  const std::int64_t enough_;
  const std::size_t most_;
  const std::chrono::milliseconds pause_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Thing>> waiting_;
  std::int64_t weight_ = 0;  // of all that wait
  bool idle_ = false;        // the last fetch found none
  bool closed_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace h1bench

#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "proto/h1bench.pb.h"
#include "runner/worker/client.h"

namespace h1bench {

/// The worker's thread of life: heartbeats, and the end of the process when the coordinator or the
/// parent is gone. It runs beside the engine, so that a long prompt never looks like a dead worker.
class Life {
 public:
  /// A coordinator that does not answer for this long is gone. The promise to people is ten
  /// seconds.
  static constexpr std::chrono::milliseconds kSilence{9'000};

  Life(CoordinatorClient& client, v1::RegisterRequest identity, std::int64_t parent);
  ~Life();

  /// From now on this process dies with `parent`, which must live; 0: with nobody.
  static void DieWith(std::int64_t parent, const std::string& worker);
  /// Registers and starts the heartbeats.
  Status Begin();
  /// Every answered call is a sign of the coordinator's life.
  void Heard();
  /// Leases that the heartbeats name, each until it is let go of.
  void Hold(std::int64_t lease);
  void LetGo(std::int64_t lease);
  void LetGoOfAll();
  /// The coordinator refused something of this lease.
  void Lose(std::int64_t lease);
  /// True when the work of a held lease is no longer wanted.
  bool Lost(std::int64_t lease) const;
  /// Those held and not lost.
  std::vector<std::int64_t> held() const;
  /// SIGTERM or the coordinator asked to leave.
  bool Leaving() const;
  /// Why this process must not go on (another one took its name), or ok.
  Status fenced() const;
  /// True when the coordinator forgot this worker, until it was registered again: repeat the call.
  Status RegisterAgain();

 private:
  void Beat();
  void BeatOnce(std::chrono::milliseconds limit);

  CoordinatorClient& client_;
  v1::RegisterRequest identity_;
  std::int64_t parent_;
  std::chrono::milliseconds interval_{5'000};
  std::atomic<bool> drain_{false};
  mutable std::mutex mutex_;
  std::map<std::int64_t, bool> leases_;  // whether they are lost
  std::condition_variable changed_;
  std::chrono::steady_clock::time_point heard_;
  Status fenced_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace h1bench

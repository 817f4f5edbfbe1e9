#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "harness/store/store.h"

namespace h1bench::cli {

/// Worker processes of our own binary. All methods belong to the main thread: the kernel kills the
/// workers when the thread that started them ends.
class WorkerPool {
 public:
  /// `arguments`: those of `h1bench worker` beside coordinator, name and parent. What workers print
  /// goes to `log`.
  WorkerPool(std::vector<std::string> arguments, std::filesystem::path log);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;

  /// Starts workers before there is a coordinator. They load a variant each, `early` by worker (may
  /// be shorter), and wait.
  Status Start(std::int64_t count, const std::vector<VariantRow>& early);
  /// There is one, at HOST:PORT. `early`: the ids that those variants have there.
  void Meet(const std::string& coordinator, const std::vector<std::int64_t>& early);
  /// Collects the dead and starts them again, unless one died too often without any answer in
  /// between (`done`: answers so far). `lost` hears the names of those that died. An error means
  /// that no worker is left.
  Status Watch(std::int64_t done, const std::function<void(const std::string&)>& lost);
  /// Asks all to leave and does not wait: a GPU's driver may take a second to let go of a model.
  void Dismiss();
  /// Asks all to leave, then kills; returns when none is left.
  void Stop();
  std::vector<pid_t> pids() const;

 private:
  struct Slot {
    std::string name;
    pid_t pid = 0;   // 0: not running
    int input = -1;  // a socket to it, until it knows the coordinator
    int deaths = 0;  // in a row, without an answer in between
    std::int64_t done_at_death = -1;
    bool given_up = false, finished = false;
  };
  Status Spawn(Slot& slot, const VariantRow* early = nullptr);
  static void CloseInput(Slot& slot);
  void Reap(Slot& slot, int status, std::int64_t done,
            const std::function<void(const std::string&)>& lost);
  std::string LogTail() const;

  std::string coordinator_;  // empty: not known yet
  std::vector<std::string> arguments_;
  std::filesystem::path log_;
  std::vector<Slot> slots_;
};

}  // namespace h1bench::cli

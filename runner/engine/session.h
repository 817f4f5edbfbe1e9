#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "runner/engine/batch.h"
#include "runner/engine/collector.h"
#include "runner/engine/engine.h"
#include "runner/engine/generation.h"
#include "runner/engine/scheduler.h"

namespace h1bench::engine {

/// A batch under way: who computes it, and who gets the answers.
class Flight {
 public:
  /// `start`: when the engine took it up.
  Flight(EngineWork work, const EngineParts& parts, Listener::Time start);
  Flight(const Flight&) = delete;
  Flight& operator=(const Flight&) = delete;

  /// Begins what is not answered yet, of the batch's plan.
  void Begin();
  /// Plans what is not answered yet anew, for so much memory. Not in a scheduler then.
  void PlanAgain(const PlanOptions& options);
  Job& job() { return *job_; }
  const Batch& batch() const { return *batch_; }
  bool cancelled() const { return collector_->cancelled(); }  // the caller wants no more of it
  std::int64_t longest() const;                               // tokens that one slot may need

 private:
  std::unique_ptr<Batch> batch_;
  std::function<bool(EngineResponse)> done_;
  Collector::Done answer_;  // notes the answer, and gives it to done_
  const EngineParts& parts_;
  Listener::Time start_;
  std::vector<bool> answered_;
  std::vector<Generation> generations_;
  std::optional<Collector> collector_;
  std::optional<Job> job_;
};

/// One Engine::Serve: batches that come and go on one backend.
class Session {
 public:
  struct Context {
    const EngineParts& parts;
    const EngineOptions& options;
    Clock& clock;
    EngineStats& stats;
    MemoryPlan& used;               // grows to the most that the backend holds
    std::int64_t slot_bytes_limit;  // for all sequences together
    std::function<std::int64_t(std::int64_t tokens)> slot_bytes;
  };
  explicit Session(const Context& context) : context_(context) { MakeScheduler(); }

  /// Until nothing is under way and `source` has nothing more. kResourceExhausted when not even
  /// the longest sequence alone fits into what the device has.
  Status Run(const WorkSource& source);

  std::int64_t peak_slot_bytes() const;
  std::int64_t longest() const { return longest_; }  // tokens, of all that was taken up

 private:
  void MakeScheduler();
  PlanOptions MakePlanOptions() const;
  bool TakeUp(const WorkSource& source, bool idle);
  void RemoveFinished();
  Status GoOnWithLess(const Status& failed);

  Context context_;
  std::vector<std::unique_ptr<Flight>> flights_;
  std::unique_ptr<Scheduler> scheduler_;  // ends first: it names the flights' jobs
  std::int64_t peak_bytes_ = 0;           // of schedulers before this one
  std::int64_t longest_ = 1;
};

/// The one way to fill PlanOptions.
PlanOptions PlanOptionsFor(const EngineOptions& options, std::int64_t slot_bytes_limit,
                           std::function<std::int64_t(std::int64_t tokens)> slot_bytes);

}  // namespace h1bench::engine

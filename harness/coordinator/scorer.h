#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "harness/coordinator/task_set.h"
#include "harness/store/store.h"
#include "tasks/task.h"

namespace h1bench {

/// A version of the scorers as a whole, kept with every score: a fix raises it and stored responses
/// are scored again.
inline constexpr std::int64_t kScorerVersion = 1;

struct ScoreJob {
  std::int64_t run = 0, sample_id = 0, run_task_id = 0, variant_id = 0, index = 0;
  std::string subset;
  tasks::Response response;
  std::shared_ptr<const TaskSet> tasks;
};

/// What came of a job; no score when the data no longer has the document.
struct ScoreResult {
  std::int64_t run = 0, sample_id = 0;
  std::optional<ScoreRow> score;
};

/// Scores one response. Pure but for the judge.
ScoreResult ScoreOne(const ScoreJob& job, tasks::CodeJudge* judge);

/// Threads that score while responses arrive, so that judging code never delays a heartbeat.
class Scorer {
 public:
  /// `deliver` is called on a scorer thread. `judge` may be null when no task needs it.
  Scorer(int threads, tasks::CodeJudge* judge, std::function<void(ScoreResult)> deliver);
  /// Drops what is not started: it is found again as unscored.
  ~Scorer();
  /// Thread-safe.
  void Add(ScoreJob job);

 private:
  void Work();

  tasks::CodeJudge* judge_;
  std::function<void(ScoreResult)> deliver_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ScoreJob> jobs_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace h1bench

#include "harness/coordinator/scorer.h"

namespace h1bench {

ScoreResult ScoreOne(const ScoreJob& job, tasks::CodeJudge* judge) {
  ScoreResult result{job.run, job.sample_id, std::nullopt};
  const LoadedTask* loaded = job.tasks->Find(job.run_task_id, job.variant_id);
  const tasks::Document* document =
      loaded == nullptr ? nullptr : loaded->Find(job.subset, job.index);
  if (document == nullptr || (loaded->task().needs_judge() && judge == nullptr)) return result;
  const tasks::Score score = loaded->task().ScoreResponse(*document, job.response, judge);
  ScoreRow row;
  row.sample_id = job.sample_id;
  row.version = kScorerVersion;
  row.extracted = score.extracted;
  row.verdict = score.verdict;
  row.detail = score.detail;
  row.scores = score.scores;
  result.score = std::move(row);
  return result;
}

Scorer::Scorer(int threads, tasks::CodeJudge* judge, std::function<void(ScoreResult)> deliver)
    : judge_(judge), deliver_(std::move(deliver)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

Scorer::~Scorer() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Scorer::Add(ScoreJob job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
}

void Scorer::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (stop_) return;
    const ScoreJob job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    deliver_(ScoreOne(job, judge_));
    lock.lock();
  }
}

}  // namespace h1bench

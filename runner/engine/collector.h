#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "runner/engine/plan.h"
#include "runner/engine/prepare.h"
#include "runner/engine/scheduler.h"

namespace h1bench::engine {

/// Gathers what the scheduler reports into responses and hands each over when it is complete.
class Collector final : public Listener {
 public:
  /// Takes the response of request `index`; false: stop.
  using Done = std::function<bool(std::size_t index, EngineResponse)>;
  /// All arguments must outlive it. `start`: when the engine took the batch up.
  Collector(std::span<const EngineRequest> requests, std::span<const Prepared> prepared,
            const Plan& plan, Time start, const Done& done);

  bool cancelled() const { return cancelled_; }  // `done` said stop
  /// Answers a request that cannot be computed.
  void Refuse(std::size_t request, const Status& status);

  void OnStart(std::int32_t request, Time now) override;
  void OnLogProb(const Wanted& wanted, double log_prob, bool is_argmax, Time now) override;
  void OnToken(std::int32_t request, Time now) override;
  void OnPrefilled(std::int32_t request, Time now) override;
  void OnGenerated(std::int32_t request, const Generation& generation, Time now) override;

 private:
  struct Entry {
    EngineResponse response;
    std::vector<std::vector<double>> log_probs;  // by continuation, by token
    std::size_t missing = 0;
    bool started = false;
    Time first{}, first_token{}, last_token{};
  };

  static void Describe(Entry& entry, const EngineRequest& request, const Prepared& prepared,
                       std::int64_t reused);
  Entry& At(std::int32_t request) { return entries_[static_cast<std::size_t>(request)]; }
  void Emit(std::size_t request);

  std::span<const EngineRequest> requests_;
  Time start_;
  const Done& done_;
  std::vector<Entry> entries_;
  bool cancelled_ = false;
};

}  // namespace h1bench::engine

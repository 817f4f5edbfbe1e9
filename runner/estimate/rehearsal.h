#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/status.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/engine/engine.h"
#include "runner/estimate/counting_backend.h"
#include "runner/estimate/forward_rates.h"
#include "runner/tokenizer/tokenizer.h"

namespace h1bench {

/// What the engine would do with some requests.
struct Rehearsed {
  ForwardSeconds seconds;            // zero without rates
  std::int64_t prompt_tokens = 0;    // of all prompts
  std::int64_t computed_tokens = 0;  // of prompts and continuations, shared prefixes once
  std::int64_t generated_tokens = 0;
  Status refused;  // why the first request that the engine refuses is refused

  void Add(const Rehearsed& other);
};

/// A lease of the run to come.
struct LeaseToCome {
  std::vector<EngineRequest> requests;  // none: there is no lease, or not yet
  double expected_tokens = 0;           // of a generation, its end included
};

/// The real engine, with the real tokenizer and the memory arithmetic of the real backend, on a
/// backend that only counts: the same trie, the same Forwards, the same slots as in the run to
/// come.
class Rehearsal {
 public:
  /// `options` as the worker will have them; memory_bytes must be set.
  static Result<Rehearsal> Create(const ModelConfig& config,
                                  std::shared_ptr<const Tokenizer> tokenizer,
                                  const EngineOptions& options, const ForwardRates& rates);

  /// The next lease. `idle`: the engine has nothing to do and ends when there is none; else it
  /// would take it up beside what it computes.
  using NextLease = std::function<LeaseToCome(bool idle)>;
  /// As a worker does that always has the next lease ready when it may, and at most `most` under
  /// way: by lease. What leases share of a Forward each pays its part of.
  Result<std::vector<Rehearsed>> Run(const NextLease& next, std::size_t most);
  /// The most that the probes of a loaded model (engine.h) or any Run needs.
  MemoryPlan memory() const { return engine_->planned_memory(); }
  /// What the probes take, before a worker asks for work.
  double probe_seconds() const { return backend_->accounts().front().seconds.total(); }

 private:
  std::shared_ptr<CountingBackend> backend_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace h1bench

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
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

/// The real engine, with the real tokenizer and the memory arithmetic of the real backend, on a
/// backend that only counts: the same trie, the same Forwards, the same slots as in the run to
/// come.
class Rehearsal {
 public:
  /// `options` as the worker will have them; memory_bytes must be set.
  static Result<Rehearsal> Create(const ModelConfig& config,
                                  std::shared_ptr<const Tokenizer> tokenizer,
                                  const EngineOptions& options, const ForwardRates& rates);

  /// The next batch of requests; empty: there is no other.
  using NextBatch = std::function<std::vector<EngineRequest>()>;
  /// As a worker does that always has the next batch ready before one ends: by batch. What two
  /// share of a Forward counts to the one that ends first. `expected_tokens`: of a generation, its
  /// end included.
  Result<std::vector<Rehearsed>> Run(const NextBatch& next, double expected_tokens);
  /// One batch.
  Result<Rehearsed> Run(std::span<const EngineRequest> requests, double expected_tokens);
  /// The most that the probes of a loaded model (engine.h) or any Run needs.
  MemoryPlan memory() const { return engine_->planned_memory(); }
  /// What the probes take, before a worker asks for work.
  double probe_seconds() const { return probe_seconds_; }

 private:
  double probe_seconds_ = 0;
  std::shared_ptr<CountingBackend> backend_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace h1bench

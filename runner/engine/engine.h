#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "kernels/backend.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/tokenizer/tokenizer.h"

namespace h1bench {

struct EngineOptions {
  BackendOptions backend;
  std::int64_t max_length = 0;        // context tokens; 0: the model's max_position_embeddings
  std::int64_t max_batch = 64;        // sequences in flight at most
  std::int64_t memory_bytes = 0;      // budget for everything; 0: 80 % of what is free
  std::int64_t prefill_chunk = 512;   // tokens of one sequence per Forward at most
  bool prefix_reuse = true;
};

/// One question to the model. With continuations it is a loglikelihood request, else generate_until.
struct EngineRequest {
  std::int64_t tag = 0;                    // given back with the response
  std::string context;                     // UTF-8 prompt
  std::vector<std::string> continuations;  // tokenised jointly with the context (lm-eval's rule)
  std::vector<std::string> stops;
  std::int64_t max_new_tokens = 256;
  double temperature = 0;                  // 0: greedy
  double top_p = 1;
  std::string sampling_key;                // keys the counter-based generator when temperature > 0
};

struct EngineResponse {
  std::int64_t tag = 0;
  Status status;                           // a request that cannot be answered says why here
  std::string text;                        // generate_until: up to the first stop
  std::vector<double> loglikelihoods;      // sums of natural-log probabilities, one a continuation
  std::vector<bool> is_greedy;
  std::int64_t prompt_tokens = 0, generated_tokens = 0, truncated_tokens = 0, reused_tokens = 0;
  std::vector<std::int32_t> first_ids, last_ids;  // at most 8 each of the prompt as fed to the model
  std::string finish;                      // "stop", "eos", "length"; empty for loglikelihood
  double queue_seconds = 0, prefill_seconds = 0, decode_seconds = 0;
};

/// Runs batches of requests on one backend. Tokenises all, builds the prefix trie, computes each shared prefix once,
/// keeps within the memory budget. A response's bits depend on its request and the model only. Not thread-safe.
class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Create(std::shared_ptr<const Checkpoint> checkpoint,
                                                std::shared_ptr<const Tokenizer> tokenizer,
                                                const EngineOptions& options, Clock& clock = Clock::Real());
  virtual ~Engine() = default;

  /// Answers all requests; `done` is called once for each as it finishes, in any order, on the calling thread, and
  /// returns false to stop early (then kCancelled is returned).
  virtual Status Run(std::span<const EngineRequest> requests, const std::function<bool(EngineResponse)>& done) = 0;

  virtual MemoryPlan planned_memory() const = 0;
  virtual MemoryPlan used_memory() const = 0;
  virtual std::string Identity() const = 0;  // backend identity and precision
};

}  // namespace h1bench

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "kernels/backend.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/tokenizer/tokenizer.h"

namespace h1bench {

/// What a Forward computes: prompts, next tokens of generations, or both in one.
enum class Phase { kPrefill, kDecode, kMixed };
inline constexpr std::size_t kPhases = 3;
const char* PhaseName(Phase phase);  // "prefill", "decode", "mixed"

struct EngineOptions {
  BackendOptions backend;
  std::int64_t max_length = 0;       // context tokens; 0: the model's max_position_embeddings
  std::int64_t max_batch = 64;       // sequences in flight at most
  std::int64_t memory_bytes = 0;     // budget for everything; 0: 80 % of what is free
  std::int64_t prefill_chunk = 512;  // tokens of one sequence per Forward at most
  bool prefix_reuse = true;          // false: every sequence is computed from position 0
  /// Called before every Forward, on the thread of Run: for meters that tell phases apart.
  std::function<void(Phase)> on_forward;
};

/// One question to the model. With continuations (text or ids) it is a loglikelihood request, else
/// generate_until. `context_ids` / `continuation_ids` replace the texts where given and are fed as
/// they are: no joint tokenisation, no BOS.
struct EngineRequest {
  std::int64_t tag = 0;                    // given back with the response
  std::string context;                     // UTF-8 prompt
  std::vector<std::string> continuations;  // tokenised jointly with the context (lm-eval's rule)
  std::vector<std::string> stops;
  std::int64_t max_new_tokens = 256;
  double temperature = 0;  // 0: greedy
  double top_p = 1;
  std::string sampling_key;  // keys the counter-based generator when temperature > 0
  std::vector<std::int32_t> context_ids;
  std::vector<std::vector<std::int32_t>> continuation_ids;
  bool add_bos = false;  // BOS in front of a text that does not begin with it: once, never twice
  /// Scoring: logits, log-probabilities and their sum are rounded to bf16 each, as PyTorch's
  /// log_softmax over a bf16 model's logits does; runner/engine/bf16_softmax.h.
  bool bf16_softmax = false;
  bool ignore_eos = false;  // generate exactly max_new_tokens (throughput, goldens)
};

struct EngineResponse {
  std::int64_t tag = 0;
  Status status;                       // a request that cannot be answered says why here
  std::string text;                    // generate_until: up to the first stop
  std::vector<double> loglikelihoods;  // sums of natural-log probabilities, one a continuation
  std::vector<bool> is_greedy;
  /// The prompt is the context as fed to the model (with the first continuation's truncation);
  /// generated_tokens counts an EOS; truncated_tokens were cut from the prompt's left;
  /// reused_tokens are those of the prompt that were computed for another sequence of the same
  /// batch.
  std::int64_t prompt_tokens = 0, generated_tokens = 0, truncated_tokens = 0, reused_tokens = 0;
  std::vector<std::int32_t> first_ids,
      last_ids;                             // at most 8 each of the prompt as fed to the model
  std::vector<std::int32_t> generated_ids;  // generate_until: every token sampled, EOS included
  std::string finish;                       // "stop", "eos", "length"; empty for loglikelihood
  /// Queue: from when the engine took the batch up to the first Forward with a token of this
  /// request's own (a shared prefix counts as waiting). Prefill: from there to the last prompt row.
  /// Decode: first to last token.
  double queue_seconds = 0, prefill_seconds = 0, decode_seconds = 0;
  /// generate_until: microseconds from each generated token to the next, one fewer than tokens.
  /// The time to the first one is queue_seconds + prefill_seconds.
  std::vector<std::int32_t> inter_token_us;
};

/// What an engine did since it was made.
struct EngineStats {
  std::int64_t forward_calls = 0;
  std::int64_t fed_tokens = 0;       // tokens that went through Forward
  std::int64_t sequence_tokens = 0;  // tokens it would have been without sharing
  std::int64_t forks = 0;
  std::int64_t peak_slots = 0;
  std::int64_t out_of_memory = 0;  // times that the device had less than planned; see Run
  double prepare_seconds = 0;      // of Prepare, for what Serve took up
  double forward_seconds = 0;
  std::array<double, kPhases> phase_seconds{};  // of forward_seconds, by Phase
};

/// An engine's parts, for engines on a backend that somebody else made (tests, null engines).
struct EngineParts {
  std::shared_ptr<Backend> backend;
  std::shared_ptr<const Tokenizer>
      tokenizer;  // null: requests must carry ids, responses have no text
  std::vector<std::int32_t> eos_ids;
  std::optional<std::int32_t> bos_id;
  /// Bytes for `slots` sequences of up to `tokens` tokens. Empty: PlanMemory() of the backend's
  /// shape. It must grow by the same amount with every slot.
  std::function<MemoryPlan(std::int64_t slots, std::int64_t tokens)> plan_memory;
};

/// Requests made ready for a device by Engine::Prepare: ids instead of texts, and the plan of what
/// is computed once for several of them.
class EngineBatch {
 public:
  virtual ~EngineBatch() = default;
  /// Prompt tokens that will be computed; 0 where nobody counts.
  virtual std::int64_t tokens() const = 0;
};

/// A batch of the engine that prepared it, and who gets the answers.
struct EngineWork {
  std::unique_ptr<EngineBatch> batch;  // null: no work
  /// Called once for each request as it is answered, in any order, on the thread of Serve; false:
  /// the rest of this batch is dropped.
  std::function<bool(EngineResponse)> done;
};

/// Gives work, or none. `idle`: the engine has nothing to do and ends when there is none; else it
/// has room beside what it computes, and the call must not wait.
using WorkSource = std::function<EngineWork(bool idle)>;

/// Runs batches of requests on one backend. Tokenises all, builds the prefix trie, computes each
/// shared prefix once, keeps within the memory budget. A response's text, ids and log-likelihoods
/// depend on its request and the model only, to the bit. Not thread-safe but for Prepare.
class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Create(std::shared_ptr<const Checkpoint> checkpoint,
                                                std::shared_ptr<const Tokenizer> tokenizer,
                                                const EngineOptions& options,
                                                Clock& clock = Clock::Real());
  /// `options.backend` is not used: the backend has its own.
  static Result<std::unique_ptr<Engine>> CreateWith(EngineParts parts, const EngineOptions& options,
                                                    Clock& clock = Clock::Real());
  virtual ~Engine() = default;

  /// Tokenises and plans, in `threads` threads (0: as many as the backend has). May be called while
  /// Serve runs in another thread: the device need not wait for the next batch.
  virtual std::unique_ptr<EngineBatch> Prepare(std::vector<EngineRequest> requests,
                                               int threads) = 0;
  /// Answers batches until the source has none. One is taken up as soon as a Forward has room
  /// beside those under way, so none is computed in Forwards of its own. Where the device has less
  /// memory than planned (somebody else took it), what is not answered yet begins anew with half
  /// the memory for sequences, down to what the longest needs; kResourceExhausted when that does
  /// not help either.
  virtual Status Serve(const WorkSource& source) = 0;
  /// Prepare and Serve of one batch. kCancelled when `done` returned false.
  Status Run(std::span<const EngineRequest> requests,
             const std::function<bool(EngineResponse)>& done);

  /// The most that a Serve or Probe has planned to hold so far; before: one sequence of max_length.
  virtual MemoryPlan planned_memory() const = 0;
  /// The most that the backend held after any Forward.
  virtual MemoryPlan used_memory() const = 0;
  virtual EngineStats stats() const = 0;
  virtual std::string Identity() const = 0;  // backend identity and precision
  /// Answers a few fixed probes by two paths (self_test.h). SHA-256 (hex) of the answers' bits: the
  /// same for every worker of one identity and model. kFailedPrecondition when the paths differ.
  virtual Result<std::string> Probe() = 0;
};

}  // namespace h1bench

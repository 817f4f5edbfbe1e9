#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "runner/engine/engine.h"

/// What an engine proves before it may answer. A wrong kernel gives plausible scores, so that
/// nobody would notice later.
///
/// - *Known answers* (SelfTest, before a worker asks for work): a small random model that is made
///   in memory, 64 prompts, the device's own kernels at both precisions, against answers that were
///   computed in float64 by tests/runner/reference_model.h and are stored in self_test_answers.cc.
/// - *Other paths* (ProbeEngine, when a variant was loaded): probes of the user's model in one
///   batch with a shared prefix, each alone, and the first token by token. All bits must be equal;
///   it takes about 40 passes over the weights.
///   The digest of the answers' bits is what every other worker of the same identity must have,
///   too; the coordinator compares it.
namespace h1bench {

/// One prompt of the built-in model and what it answers.
struct KnownAnswer {
  std::int64_t seed = 0;                 // gives the prompt's length and ids
  std::array<std::int32_t, 2> tokens{};  // greedy continuation
  double loglikelihood = 0;              // of the two ids that the seed asks for
};

/// The built-in model: both branches, grouped queries, a gated norm with two groups, every
/// multiplier other than 1, chunks of 32 that the prompts cross.
ModelShape SelfTestShape();
inline constexpr std::uint64_t kSelfTestWeights = 20;  // seed of its weights

std::span<const KnownAnswer> KnownAnswers();
/// For each answer a generation of two tokens (tag 2 i) and a scoring of two ids (tag 2 i + 1).
/// All prompts begin with the same 24 ids.
std::vector<EngineRequest> KnownRequests(std::span<const KnownAnswer> answers);

/// Answers the first `count` prompts on a backend of the built-in model. kFailedPrecondition names
/// the probe, what came out and what is right: tokens exactly, log-likelihoods within 1e-4 (fp32)
/// or 0.25 and, on the root mean square, 0.02 (bf16; measured: 0.011).
Status CheckKnownAnswers(const std::shared_ptr<Backend>& backend, std::size_t count);

/// The known answers on a device, at both precisions. About 0.1 s on a CPU.
Status SelfTest(Device device, int threads, std::size_t count = KnownAnswers().size());

/// What an engine planned and what its backend held at most.
struct EngineMemory {
  MemoryPlan planned, used;
};

/// Other paths over one backend, whatever its model; SHA-256 (hex) of the answers' bits.
/// kFailedPrecondition when the paths differ. `options`: the engine's, resolved. `memory`: of the
/// probes in one batch, which need more than a run of few sequences.
Result<std::string> ProbeEngine(const EngineParts& parts, const EngineOptions& options,
                                Clock& clock, EngineMemory& memory);

}  // namespace h1bench

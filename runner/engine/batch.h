#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "runner/engine/engine.h"
#include "runner/engine/plan.h"
#include "runner/engine/prepare.h"

namespace h1bench::engine {

/// What Engine::Prepare makes: requests, their ids and the plan of what is computed of them.
struct Batch final : EngineBatch {
  std::int64_t tokens() const override { return plan.fed_tokens; }

  std::vector<EngineRequest> requests;  // without their prompts: those are in `prepared`, as ids
  std::vector<Prepared> prepared;       // not ok: refused, or answered already
  Plan plan;
  std::int64_t slot_bytes_limit = 0;  // that the plan was made for
  double seconds = 0;                 // that making it took
};

/// Prepares all requests in as many threads (0: all cores). The tokenizer must not be used for
/// anything else at the same time: which text met one of its limits can only be told alone.
std::vector<Prepared> PrepareAll(std::span<const EngineRequest> requests, const Rules& rules,
                                 int threads);

}  // namespace h1bench::engine

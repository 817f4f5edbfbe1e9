#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "runner/engine/engine.h"

namespace h1bench::engine {

using Ids = std::vector<std::int32_t>;

/// One input of the model and what is read from it: the log-probabilities of its last tokens, or a
/// generation that goes on after it.
struct Sequence {
  Ids input;                    // as fed: for scoring without the last token of the continuation
  Ids targets;                  // scoring: targets[i] is read at row input.size()-targets.size()+i
  std::int64_t new_tokens = 0;  // generation: room behind the input; 0 for scoring
};

/// A request as token ids, ready to be planned.
struct Prepared {
  Status status;                    // not ok: refused, nothing below counts
  std::vector<Sequence> sequences;  // one a continuation; one for a generation
  std::int64_t prompt_tokens = 0;   // of sequences[0].input
  std::int64_t truncated_tokens = 0;
  bool bf16_softmax = false;  // its rows need all logits
};

/// What turns requests into ids, always in the same way.
struct Rules {
  const Tokenizer* tokenizer = nullptr;  // null: ids only
  std::int64_t max_length = 0;
  std::int64_t vocab = 0;
  std::optional<std::int32_t> bos_id;
  std::optional<std::int32_t> prefix_id;  // stands for an empty context: BOS, else the first EOS
};

/// Tokenises and truncates as lm-eval 0.4 does (docs of EngineRequest; PROTOCOLS 2.2):
///  - scoring: white space at the end of the context moves to the continuation; ids of the context
///  =
///    Encode(context); ids of the continuation = Encode(context + continuation) behind as many ids;
///    input = the last max_length + 1 of both, less the last one;
///  - generation: the last max_length - max_new_tokens ids of the context;
///  - an empty context is one BOS (EOS where there is none);
///  - add_bos: BOS in front of the context's ids unless they begin with it, before anything is cut
///    from the left; a model without BOS is refused.
Prepared Prepare(const EngineRequest& request, const Rules& rules);

/// Bytes at the end of UTF-8 `text` that Python's str.rstrip() removes.
std::size_t TrailingWhitespace(std::string_view text);

}  // namespace h1bench::engine

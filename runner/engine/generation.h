#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "runner/engine/engine.h"

namespace h1bench::engine {

/// Cuts `text` as lm-eval does: for each stop in the order given, everything from its first
/// occurrence on is dropped. Empty stops are ignored.
std::string CutAtStops(std::string text, const std::vector<std::string>& stops);

/// One generation: picks tokens from rows, and knows when to end. The request must outlive it.
class Generation {
 public:
  Generation(const EngineRequest& request, const Tokenizer* tokenizer,
             std::span<const std::int32_t> eos_ids)
      : request_(request), tokenizer_(tokenizer), eos_ids_(eos_ids) {}

  bool samples() const { return request_.temperature > 0; }
  /// Takes the next token from the row after the last one; `logits` (V) is read when sampling. A
  /// row that is not finite ends the generation without a token.
  void Step(const RowResult& row, std::span<const float> logits);
  bool done() const { return !finish_.empty() || failed_; }
  bool failed() const { return failed_; }
  const std::string& finish() const { return finish_; }  // "stop", "eos" or "length"; empty before
  const std::vector<std::int32_t>& ids() const { return ids_; }
  /// The decoded text, special tokens skipped, cut at the stops.
  std::string Text() const;

 private:
  bool EndsInStop();
  std::string Decode() const;

  const EngineRequest& request_;
  const Tokenizer* tokenizer_;
  std::span<const std::int32_t> eos_ids_;
  std::vector<std::int32_t> ids_;
  std::string finish_;
  bool failed_ = false;
  // Text in pieces, so that a step does not decode everything again: tokens before settled_ gave
  // whole characters; text_ is theirs. Decoding starts at context_ to keep what depends on the
  // token before.
  std::size_t context_ = 0, settled_ = 0;
  std::string text_;
};

}  // namespace h1bench::engine

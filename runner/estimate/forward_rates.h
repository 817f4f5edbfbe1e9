#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/status.h"

/// How long one Forward takes, from what it computes. Numbers are measured (measure_rates.h), the
/// form is that of the work: matrix products and scan by row, attention by (row, key), a fixed
/// price a segment, the head by asked row, and for steps of generations the state and weights that
/// each must read.
namespace h1bench {

/// What a Forward's time depends on.
struct ForwardWork {
  std::int64_t prompt_tokens = 0, prompt_segments = 0;
  std::int64_t generated = 0;   // segments of one token that ask for its row: steps of generations
  std::int64_t asked_rows = 0;  // of prompt segments
  double prompt_keys = 0;       // over prompt tokens: keys that each attends to, summed
  double generated_keys = 0;    // over generated ones
};

/// Seconds at measured sizes, increasing. Between them straight lines. Beyond the last one the last
/// line goes on, or the last point's own rate where that is slower: what was measured too slow at
/// the smaller size must not make large ones cheap, and steps of generations get dearer, as their
/// states leave the caches (CPU, 0.5B: 2.6 ms a sequence from 8 to 32, 4.5 from 32 to 64).
using MeasuredPoints = std::vector<std::pair<std::int64_t, double>>;
double Interpolate(const MeasuredPoints& points, double size);

struct ForwardRates {
  /// One segment of so many tokens with one row asked, attention taken off.
  MeasuredPoints prompt;
  /// So many sequences, one token each, attention taken off.
  MeasuredPoints generated;
  double prompt_segment = 0;  // each segment after the first
  double asked_row = 0;       // each row after the first
  double prompt_key = 0;      // attention, for each token and key
  double generated_key = 0;
  /// Laying weights out anew, bytes a second; for the time that loading a model takes.
  double pack_bytes_per_second = 0;

  bool empty() const { return prompt.empty(); }
};

/// Seconds of a Forward; generated tokens and prompt tokens in one call share the products.
struct ForwardSeconds {
  double prompt = 0, generated = 0;
  double total() const { return prompt + generated; }
};
ForwardSeconds Seconds(const ForwardRates& rates, const ForwardWork& work);
/// What `part` of a Forward of `work` takes; the parts of one sum up to the whole.
ForwardSeconds Seconds(const ForwardRates& rates, const ForwardWork& work, const ForwardWork& part);

Json ToJson(const ForwardRates& rates);
/// Refuses what ToJson does not write.
Result<ForwardRates> ForwardRatesFromJson(const Json& json);

}  // namespace h1bench

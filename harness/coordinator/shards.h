#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/store/store.h"

namespace h1bench {

inline constexpr std::size_t kMostLeases = 8;  // that one worker has at a time

/// The samples that are leased together: of one variant, task and subset, so that they share a
/// prefix.
struct Shard {
  std::int64_t variant_id = 0;
  std::vector<std::int64_t> samples;
  std::int64_t cost = 0;  // estimated tokens to compute, the shared prefix counted once
  std::size_t prompt_bytes = 0;
  bool suspect = false;  // a worker died while it had these samples
};

struct ShardLimits {
  std::int64_t tokens = 8192;  // estimated, per shard
  std::size_t requests = 512;
  std::size_t bytes = 3U << 20;  // of prompts: a lease must fit a message of 16 MiB with room
  std::int64_t workers = 1;      // that generations are shared out among; see BuildShards
};

/// Tokens that a sample's answer may have; 0: none is generated.
std::int64_t MaxNewTokens(const SampleRow& sample);

/// Limits that give each of `workers` several shards, within bounds.
ShardLimits ChooseLimits(const std::vector<SampleRow>& pending, std::int64_t workers);

/// The prompt of a sample. A list of all samples does not hold their texts, which may be gigabytes:
/// they come one by one.
using PromptOf = std::function<Result<std::string>(const SampleRow&)>;
/// From the database.
PromptOf StoredPrompts(Store& store);

/// Cuts samples into shards, most costly first (ties: in order of ids). A sample that lost one
/// worker comes in a shard of at most 8, one that lost two comes alone: so the one that kills
/// workers is poisoned and its neighbours are not. Samples with a request key that another one has
/// are left out: its answer is theirs too. Answers that cost more than their prompts come up to 64
/// together, whatever their tokens, as long as every worker gets its part: sequences of one lease
/// are generated side by side, and a step takes nearly as long for one as for many.
Result<std::vector<Shard>> BuildShards(const std::vector<SampleRow>& pending,
                                       const ShardLimits& limits, const PromptOf& prompt_of);
/// Of samples that hold their prompts.
std::vector<Shard> BuildShards(const std::vector<SampleRow>& pending, const ShardLimits& limits);

/// Shards that wait, by variant. A worker keeps the variant it has loaded while there is work for
/// it.
class ShardQueue {
 public:
  void Add(std::vector<Shard> shards);
  /// Work for a worker with `loaded_variant` (0: none) in memory, or nothing.
  std::optional<Shard> Take(std::int64_t loaded_variant);
  /// Work for a worker that still has some of `loaded_variant`, or nothing: of that variant, while
  /// each of `workers` workers could get some, and no samples that are suspected of killing
  /// workers: those must be alone with the one they kill.
  std::optional<Shard> TakeAhead(std::int64_t loaded_variant, std::int64_t workers);
  bool empty() const { return size_ == 0; }
  void Clear();

 private:
  struct Lane {
    std::deque<Shard> shards;  // most costly first
    std::int64_t cost = 0;
    std::int64_t takers =
        0;  // shards taken by workers that had to load it: spreads workers over variants
  };
  Shard Pop(Lane& lane);

  std::map<std::int64_t, Lane> lanes_;
  std::size_t size_ = 0;
};

}  // namespace h1bench

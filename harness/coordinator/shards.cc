#include "harness/coordinator/shards.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string_view>
#include <tuple>

namespace h1bench {
namespace {

constexpr std::size_t kAfterOneLoss = 8;    // samples a shard may have when a worker died on it
constexpr std::int64_t kBytesPerToken = 4;  // of English, for the discount of a shared prefix only

std::int64_t SharedTokens(const std::string& a, const std::string& b) {
  const std::size_t size = std::min(a.size(), b.size());
  const auto end =
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(size), b.begin()).first;
  return (end - a.begin()) / kBytesPerToken;
}

/// Generations of one lease, at most, beyond the limit of tokens.
constexpr std::int64_t kGeneratedTogether = 64;
/// A step of one generation costs about as much as so many tokens of a prompt.
constexpr std::int64_t kPromptTokensOfAStep = 16;

bool AnswerCostsMost(const SampleRow& sample) {
  return sample.cost_tokens <= kPromptTokensOfAStep * MaxNewTokens(sample);
}

std::size_t RequestLimit(const SampleRow& sample, const ShardLimits& limits) {
  if (sample.losses == 0) return limits.requests;
  return sample.losses == 1 ? kAfterOneLoss : 1;
}

}  // namespace

std::int64_t MaxNewTokens(const SampleRow& sample) {
  // Inside a JSON string these quotes would have backslashes.
  static constexpr std::string_view kKey = "\"max_new_tokens\":";
  const std::size_t at = sample.request_json.find(kKey);
  if (at == std::string::npos) return 0;
  return std::strtoll(sample.request_json.c_str() + at + kKey.size(), nullptr, 10);
}

ShardLimits ChooseLimits(const std::vector<SampleRow>& pending, std::int64_t workers) {
  constexpr std::int64_t kShardsPerWorker = 8, kLeast = 512, kMost = 131072;
  std::int64_t total = 0;
  for (const SampleRow& sample : pending) total += sample.cost_tokens;
  ShardLimits limits;
  limits.tokens =
      std::clamp(total / std::max<std::int64_t>(1, workers * kShardsPerWorker), kLeast, kMost);
  limits.workers = std::max<std::int64_t>(1, workers);
  return limits;
}

Result<std::vector<Shard>> BuildShards(const std::vector<SampleRow>& pending,
                                       const ShardLimits& limits, const PromptOf& prompt_of) {
  std::vector<const SampleRow*> order;
  std::set<std::string> keys;
  for (const SampleRow& sample : pending) {
    if (keys.insert(sample.request_key).second) order.push_back(&sample);
  }
  const auto group = [](const SampleRow* s) {
    return std::tie(s->variant_id, s->run_task_id, s->subset, s->losses);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](const SampleRow* a, const SampleRow* b) { return group(a) < group(b); });

  std::map<decltype(group(nullptr)), std::int64_t> sizes;
  for (const SampleRow* sample : order) ++sizes[group(sample)];
  const auto together_at_most = [&](const SampleRow* sample) {
    if (!AnswerCostsMost(*sample)) return std::size_t{0};
    const std::int64_t share = (sizes[group(sample)] + limits.workers - 1) / limits.workers;
    return static_cast<std::size_t>(std::min(share, kGeneratedTogether));
  };

  std::vector<Shard> shards;
  const SampleRow* previous = nullptr;
  std::string previous_prompt;
  for (const SampleRow* sample : order) {
    H1_ASSIGN_OR_RETURN(std::string prompt, prompt_of(*sample));
    const bool together = previous != nullptr && group(previous) == group(sample);
    const std::int64_t shared = together ? SharedTokens(previous_prompt, prompt) : 0;
    const std::int64_t cost = std::max<std::int64_t>(1, sample->cost_tokens - shared);
    const std::size_t size = together ? shards.back().samples.size() : 0;
    const bool fits =
        together && size < RequestLimit(*sample, limits) &&
        (shards.back().cost + cost <= limits.tokens || size < together_at_most(sample)) &&
        shards.back().prompt_bytes + prompt.size() <= limits.bytes;
    if (!fits) shards.push_back({sample->variant_id, {}, 0, 0, sample->losses > 0});
    shards.back().cost += fits ? cost : sample->cost_tokens;
    shards.back().samples.push_back(sample->id);
    shards.back().prompt_bytes += prompt.size();
    previous = sample;
    previous_prompt = std::move(prompt);
  }
  std::stable_sort(shards.begin(), shards.end(),
                   [](const Shard& a, const Shard& b) { return a.cost > b.cost; });
  return shards;
}

PromptOf StoredPrompts(Store& store) {
  return [&store](const SampleRow& sample) { return store.Prompt(sample.prompt_sha256); };
}

std::vector<Shard> BuildShards(const std::vector<SampleRow>& pending, const ShardLimits& limits) {
  return BuildShards(pending, limits, [](const SampleRow& sample) { return sample.prompt; })
      .value();  // nothing to read, nothing to fail
}

void ShardQueue::Add(std::vector<Shard> shards) {
  for (Shard& shard : shards) {
    Lane& lane = lanes_[shard.variant_id];
    const auto place =
        std::upper_bound(lane.shards.begin(), lane.shards.end(), shard,
                         [](const Shard& a, const Shard& b) { return a.cost > b.cost; });
    lane.cost += shard.cost;
    lane.shards.insert(place, std::move(shard));
    ++size_;
  }
}

std::optional<Shard> ShardQueue::Take(std::int64_t loaded_variant) {
  if (size_ == 0) return std::nullopt;
  auto lane = lanes_.find(loaded_variant);
  if (lane == lanes_.end() || lane->second.shards.empty()) {
    const auto weight = [](const Lane& l) {
      return l.shards.empty() ? -1 : l.cost / (1 + l.takers);
    };
    lane = std::max_element(lanes_.begin(), lanes_.end(), [&](const auto& a, const auto& b) {
      return weight(a.second) < weight(b.second);
    });
    ++lane->second.takers;
  }
  return Pop(lane->second);
}

std::optional<Shard> ShardQueue::TakeAhead(std::int64_t loaded_variant, std::int64_t workers) {
  const auto lane = lanes_.find(loaded_variant);
  if (lane == lanes_.end() || lane->second.shards.empty() || lane->second.shards.front().suspect ||
      static_cast<std::int64_t>(size_) < workers)
    return std::nullopt;
  return Pop(lane->second);
}

Shard ShardQueue::Pop(Lane& lane) {
  Shard shard = std::move(lane.shards.front());
  lane.shards.pop_front();
  lane.cost -= shard.cost;
  --size_;
  return shard;
}

void ShardQueue::Clear() {
  lanes_.clear();
  size_ = 0;
}

}  // namespace h1bench

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "runner/engine/engine.h"
#include "tests/fakes/fake_backend.h"
#include "tests/paths.h"

namespace h1bench::testing {

/// The toy model's tokenizer: byte-level BPE of 512 entries, in every clone.
inline std::shared_ptr<const Tokenizer> ToyTokenizer() {
  static const auto tokenizer =
      std::make_shared<const Tokenizer>(Tokenizer::Open(SourceDir() / "demo/models/toy").value());
  return tokenizer;
}

/// A response's bits that may depend on the request alone (no times, no reuse).
inline std::string Bits(const EngineResponse& response) {
  Sha256 hash;
  const auto number = [&](std::uint64_t value) {
    hash.UpdateField(std::string_view(reinterpret_cast<const char*>(&value), sizeof(value)));
  };
  number(static_cast<std::uint64_t>(response.tag));
  hash.UpdateField(StatusCodeName(response.status.code())).UpdateField(response.text);
  for (const double sum : response.loglikelihoods) number(std::bit_cast<std::uint64_t>(sum));
  for (const bool greedy : response.is_greedy) number(greedy ? 1 : 0);
  for (const std::int32_t id : response.generated_ids) number(static_cast<std::uint64_t>(id));
  number(static_cast<std::uint64_t>(response.prompt_tokens));
  number(static_cast<std::uint64_t>(response.truncated_tokens));
  hash.UpdateField(response.finish);
  return hash.FinishHex();
}

/// All responses in the order of their tags. Fails the test unless there is exactly one each.
inline std::vector<EngineResponse> RunAll(Engine& engine,
                                          const std::vector<EngineRequest>& requests) {
  std::vector<EngineResponse> responses;
  const Status status = engine.Run(requests, [&](EngineResponse response) {
    responses.push_back(std::move(response));
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.message();
  std::ranges::sort(responses, {}, &EngineResponse::tag);
  EXPECT_EQ(responses.size(), requests.size());
  for (std::size_t i = 1; i < responses.size(); ++i)
    EXPECT_NE(responses[i - 1].tag, responses[i].tag);
  return responses;
}

inline std::string Digest(const std::vector<EngineResponse>& responses) {
  Sha256 hash;
  for (const EngineResponse& response : responses) hash.UpdateField(Bits(response));
  return hash.FinishHex();
}

using Random = std::mt19937;

inline std::vector<std::int32_t> RandomIds(Random& random, std::size_t count, std::int32_t vocab) {
  std::vector<std::int32_t> ids(count);
  for (std::int32_t& id : ids)
    id = static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(vocab));
  return ids;
}

/// A shard as the harness sends them, in ids: subjects with a long common prefix, questions with
/// one- or many-token continuations, prompts to go on from (greedy and sampled), equal prompts with
/// different keys, strangers. Tags are 0 … count - 1.
inline std::vector<EngineRequest> MixedRequests(int count, std::int32_t vocab, std::uint32_t seed,
                                                std::size_t prefix_tokens = 80) {
  Random random(seed);
  std::vector<std::vector<std::int32_t>> prefixes;
  for (std::size_t i = 0; i < 4; ++i)
    prefixes.push_back(RandomIds(random, prefix_tokens / 2 + i * prefix_tokens / 3, vocab));
  prefixes[1].insert(prefixes[1].begin(), prefixes[0].begin(), prefixes[0].end());  // nested
  std::vector<EngineRequest> requests;
  for (int i = 0; i < count; ++i) {
    EngineRequest request;
    request.tag = i;
    if (random() % 8 != 0) request.context_ids = prefixes[random() % prefixes.size()];
    const auto tail = RandomIds(random, 1 + random() % 30, vocab);
    if (random() % 6 != 0 || request.context_ids.empty())
      request.context_ids.insert(request.context_ids.end(), tail.begin(), tail.end());
    if (random() % 3 != 0) {
      const std::size_t longest = random() % 2 == 0 ? 1 : 6;
      for (std::uint32_t k = 0; k < 1 + random() % 4; ++k)
        request.continuation_ids.push_back(RandomIds(random, 1 + random() % longest, vocab));
    } else {
      request.max_new_tokens = 1 + static_cast<std::int64_t>(random() % 24);
      request.temperature = random() % 2 == 0 ? 0 : 0.7;
      request.top_p = random() % 2 == 0 ? 1 : 0.9;
      request.sampling_key = "key " + std::to_string(i);
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

}  // namespace h1bench::testing

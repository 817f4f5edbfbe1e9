#include "runner/engine/batch.h"

#include <algorithm>
#include <atomic>
#include <thread>

namespace h1bench::engine {
namespace {

void PrepareShare(std::span<const EngineRequest> requests, const Rules& rules,
                  std::atomic<std::size_t>& next, std::vector<Prepared>& prepared) {
  for (std::size_t i = next++; i < requests.size(); i = next++)
    prepared[i] = Prepare(requests[i], rules);
}

}  // namespace

/// Which request met a limit of the tokenizer can only be told in one thread, so in that (never yet
/// seen) case everything is done again in one.
std::vector<Prepared> PrepareAll(std::span<const EngineRequest> requests, const Rules& rules,
                                 int threads) {
  constexpr std::size_t kRequestsPerThread = 16;
  const std::uint64_t limit_hits = rules.tokenizer == nullptr ? 0 : rules.tokenizer->limit_hits();
  std::vector<Prepared> prepared(requests.size());
  std::atomic<std::size_t> next = 0;
  {
    if (threads < 1) threads = static_cast<int>(std::thread::hardware_concurrency());
    const std::size_t helpers =
        std::min(static_cast<std::size_t>(threads), requests.size() / kRequestsPerThread + 1) - 1;
    std::vector<std::jthread> pool;
    for (std::size_t i = 0; i < helpers; ++i)
      pool.emplace_back([&] { PrepareShare(requests, rules, next, prepared); });
    PrepareShare(requests, rules, next, prepared);
  }
  if (rules.tokenizer != nullptr && rules.tokenizer->limit_hits() != limit_hits) {
    next = 0;
    PrepareShare(requests, rules, next, prepared);
  }
  return prepared;
}

}  // namespace h1bench::engine

#include "harness/coordinator/deal.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace h1bench {

std::vector<Turn> DealOut(std::vector<Shard> shards, std::int64_t workers, double start,
                          const std::function<double(const Shard&)>& seconds,
                          const std::function<double(std::int64_t variant)>& load_seconds) {
  struct Worker {
    double free = 0;
    std::optional<std::int64_t> loaded;
  };
  std::vector<Worker> all(static_cast<std::size_t>(workers), Worker{start, {}});
  std::int64_t left = std::ssize(shards);
  ShardQueue queue;
  queue.Add(std::move(shards));
  std::vector<Turn> turns;
  for (; left > 0; --left) {
    const auto next = std::ranges::min_element(all, {}, &Worker::free);
    Turn turn;
    turn.worker = static_cast<std::size_t>(next - all.begin());
    turn.shard = *queue.Take(next->loaded.value_or(-1));
    turn.loads = next->loaded != turn.shard.variant_id;
    turn.ahead = !turn.loads && left >= workers;  // ShardQueue::TakeAhead
    if (turn.loads) next->free += load_seconds(turn.shard.variant_id);
    next->loaded = turn.shard.variant_id;
    turn.begin = next->free;
    turn.end = next->free += seconds(turn.shard);
    turns.push_back(std::move(turn));
  }
  return turns;
}

}  // namespace h1bench

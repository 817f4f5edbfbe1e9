#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "harness/coordinator/shards.h"

namespace h1bench {

/// A shard in the hands of a worker, in the run to come.
struct Turn {
  std::size_t worker = 0;
  Shard shard;
  bool ahead = false;         // the worker may have it beside others; else when it has none
  bool loads = false;         // the worker loads the shard's variant first
  double begin = 0, end = 0;  // of the work, without loading
};

/// Who gets which shards, and when, as the coordinator leases them out to workers that are all
/// there at `start`: in the order in which they are given. `seconds`: of a shard; `load_seconds`:
/// of a variant; any unit.
std::vector<Turn> DealOut(std::vector<Shard> shards, std::int64_t workers, double start,
                          const std::function<double(const Shard&)>& seconds,
                          const std::function<double(std::int64_t variant)>& load_seconds);

}  // namespace h1bench

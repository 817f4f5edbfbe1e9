#include "runner/engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/sha256.h"

namespace h1bench::engine {
namespace {

struct Candidate {
  float logit;
  std::int32_t id;
  double weight;  // exp((logit - max) / temperature)
};

bool LessProbable(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit < b.logit : a.id > b.id;
}

/// A heap of all ids with a weight above 0, and the sum of their weights in the order of ids.
std::vector<Candidate> Weigh(std::span<const float> logits, double temperature, double& total) {
  const double top = *std::max_element(logits.begin(), logits.end());
  std::vector<Candidate> heap;
  total = 0;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    const double weight = std::exp((logits[id] - top) / temperature);
    if (!(weight > 0)) continue;
    total += weight;
    heap.push_back({logits[id], static_cast<std::int32_t>(id), weight});
  }
  std::make_heap(heap.begin(), heap.end(), LessProbable);
  return heap;
}

}  // namespace

double UniformDraw(std::string_view key, std::int64_t step) {
  std::string_view counter(reinterpret_cast<const char*>(&step), sizeof(step));
  static_assert(std::endian::native == std::endian::little);
  const auto digest = Sha256().UpdateField(key).Update(counter).Finish();
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < 8; ++i) bits = bits << 8 | digest[i];
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

std::int32_t Sample(std::span<const float> logits, double temperature, double top_p,
                    double uniform) {
  double total = 0;
  std::vector<Candidate> heap = Weigh(logits, temperature, total);
  // The nucleus is taken off the heap only as far as it is needed: with top_p = 1 up to the id
  // drawn.
  std::vector<Candidate> nucleus;
  double mass = 0;
  const double wanted = top_p < 1 ? top_p * total : uniform * total;
  do {
    std::pop_heap(heap.begin(), heap.end(), LessProbable);
    nucleus.push_back(heap.back());
    heap.pop_back();
    mass += nucleus.back().weight;
  } while (!heap.empty() && (top_p < 1 ? mass < wanted : mass <= wanted));
  if (!(top_p < 1)) return nucleus.back().id;
  double sum = 0;
  for (const Candidate& candidate : nucleus) {
    sum += candidate.weight;
    if (sum > uniform * mass) return candidate.id;
  }
  return nucleus.back().id;
}

}  // namespace h1bench::engine

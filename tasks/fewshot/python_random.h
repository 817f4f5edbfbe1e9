#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace h1bench::tasks {

/// CPython's random.Random for integer seeds: MT19937 seeded by init_by_array (Matsumoto and
/// Nishimura 2002) and the draws of Lib/random.py (3.11). lm-eval's few-shot samples are draws of
/// this generator, so prompts depend on every bit.
class PythonRandom {
 public:
  explicit PythonRandom(std::uint64_t seed);
  std::uint32_t Next();
  /// k random bits, 1 <= k <= 64.
  std::uint64_t GetRandBits(int k);
  /// Uniform in [0, n), n >= 1, by rejection.
  std::uint64_t RandBelow(std::uint64_t n);
  /// Uniform in [a, b].
  std::int64_t RandInt(std::int64_t a, std::int64_t b) {
    return a + static_cast<std::int64_t>(RandBelow(static_cast<std::uint64_t>(b - a) + 1));
  }
  /// random.sample(range(n), k): k different places, in the order drawn. k <= n.
  std::vector<std::size_t> Sample(std::size_t n, std::size_t k);
  /// random.random(): 53 random bits in [0, 1).
  double Random();
  /// The place that random.choices draws among n: with one random(), not by rejection.
  std::size_t ChoicesPlace(std::size_t n) {
    return static_cast<std::size_t>(Random() * static_cast<double>(n));
  }
  /// random.shuffle.
  template <typename T>
  void Shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i-- > 1;) std::swap(items[i], items[RandBelow(i + 1)]);
  }
  /// str(uuid.UUID(int=random.getrandbits(128), version=4)).
  std::string Uuid4();

 private:
  std::array<std::uint32_t, 624> state_;
  std::size_t place_ = 624;
};

}  // namespace h1bench::tasks

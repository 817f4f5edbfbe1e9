#pragma once

#include <cstdint>
#include <random>

namespace h1bench::tasks::ruler {

/// NumPy's legacy generator: np.random.seed(s) is MT19937's init_genrand(s), randint draws whole
/// words, masked, until one is in range.
class NumpyRandom {
 public:
  explicit NumpyRandom(std::uint32_t seed) : engine_(seed) {}
  /// np.random.randint(low, high), high excluded.
  std::uint32_t RandInt(std::uint32_t low, std::uint32_t high) {
    const std::uint32_t range = high - 1 - low;
    std::uint32_t mask = range;
    for (const unsigned shift : {1U, 2U, 4U, 8U, 16U}) mask |= mask >> shift;
    std::uint32_t drawn = 0;
    do drawn = static_cast<std::uint32_t>(engine_()) & mask;
    while (drawn > range);
    return low + drawn;
  }

 private:
  std::mt19937 engine_;
};

}  // namespace h1bench::tasks::ruler

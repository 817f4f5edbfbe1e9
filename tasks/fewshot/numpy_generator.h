#pragma once

#include <cstdint>
#include <vector>

namespace h1bench::tasks {

/// NumPy's default generator, np.random.default_rng(seed): PCG64 (M. O'Neill, HMC-CS-2014-0905,
/// XSL-RR output) seeded through SeedSequence. Hugging Face's datasets shuffle with it, so rows
/// and demonstrations that HELMET draws depend on every bit.
class NumpyGenerator {
 public:
  explicit NumpyGenerator(std::uint64_t seed);
  /// permutation(n): 0 .. n-1 in the order drawn.
  std::vector<std::size_t> Permutation(std::size_t n);

 private:
  __extension__ using Wide = unsigned __int128;
  std::uint64_t Next64();
  std::uint32_t Next32();  // the low half of a draw, then its high half
  /// Uniform in [0, last], by rejection under the smallest mask: what permutations draw with.
  std::uint32_t Bounded(std::uint32_t last);
  void Step();

  Wide state_ = 0, increment_ = 0;
  std::uint64_t half_ = 0;
  bool has_half_ = false;
};

}  // namespace h1bench::tasks

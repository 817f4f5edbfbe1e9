#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "kernels/model.h"

namespace h1bench {

/// How a tensor is initialised: scaled so that every branch's output has a size near 1 after its
/// multipliers, hence activations stay finite at any depth and logits have a spread of about 2.
class RandomTensor {
 public:
  RandomTensor(const ModelShape& shape, std::uint64_t seed, const std::string& name);
  /// Writes elements [first, first + out.size()) as bf16 bits. `first` is a multiple of 4.
  /// Thread-safe.
  void Fill(std::int64_t first, std::span<std::uint16_t> out) const;
  /// The same numbers as a formula; empty where there is none (norms, time steps, A).
  std::optional<Generated> generated() const;

 private:
  std::uint64_t key_;
  float center_ = 0, half_width_ = 0;      // uniform in center +- half_width ...
  std::function<float(float)> transform_;  // ... and then through this when it is set
};

/// Fills `out` (bf16 bits, from element `first`) on all cores; pieces of any size give the same
/// values.
void FillParallel(const RandomTensor& tensor, std::int64_t first, std::span<std::uint16_t> out);

}  // namespace h1bench

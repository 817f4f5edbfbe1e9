#include "kernels/cpu/rope.h"

#include <cmath>

namespace h1bench::cpu {

std::vector<double> RopeFrequencies(const ModelShape& shape) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < shape.head_dim / 2; ++i) {
    out.push_back(std::pow(shape.rope_base,
                           -2.0 * static_cast<double>(i) / static_cast<double>(shape.head_dim)));
  }
  return out;
}

void RopeAngles(const std::vector<double>& frequencies, std::int64_t position, float* cos,
                float* sin) {
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double angle = static_cast<double>(position) * frequencies[i];
    cos[i] = static_cast<float>(std::cos(angle));
    sin[i] = static_cast<float>(std::sin(angle));
  }
}

}  // namespace h1bench::cpu

#pragma once

#include <cstdint>
#include <vector>

#include "kernels/model.h"

namespace h1bench::cpu {

/// base^(-2i / hd), i < hd / 2.
std::vector<double> RopeFrequencies(const ModelShape& shape);
/// cos and sin of position * frequency, in double until the last step: an fp32 product is wrong in
/// the third digit at the positions of long contexts.
void RopeAngles(const std::vector<double>& frequencies, std::int64_t position, float* cos,
                float* sin);

}  // namespace h1bench::cpu

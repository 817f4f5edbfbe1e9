#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace h1bench::engine {

/// Uniform double in [0, 1): the first 53 bits of SHA-256(field(key), step as 8 bytes little
/// endian). A counter-based generator: the draw depends on the key and the step alone, so it is the
/// same in any batch, on any worker, after any restart.
double UniformDraw(std::string_view key, std::int64_t step);

/// The id drawn from softmax(logits / temperature) cut to the smallest set of most probable ids
/// whose mass reaches `top_p`. Ids are ordered by logit, then by id; `uniform` in [0, 1) picks
/// along that order. All sums are double, in a fixed order.
std::int32_t Sample(std::span<const float> logits, double temperature, double top_p,
                    double uniform);

}  // namespace h1bench::engine

#pragma once

#include <cstdint>

/// Random tensors that nobody stores: an element is a function of a key and its index, so that
/// whoever needs it, host or GPU, computes the same bits.
namespace h1bench {

/// Element i is uniform in +- half_width, rounded to bf16: half_width / 2^16 times the odd number
/// GeneratedOdd(key, i).
struct Generated {
  std::uint64_t key = 0;
  float half_width = 0;
};

/// The output function of SplitMix64 (Steele, Lea, Flood 2014): a bijection that passes for random
/// on a counter.
constexpr std::uint64_t Mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9U;
  x = (x ^ x >> 27) * 0x94D049BB133111EBU;
  return x ^ x >> 31;
}

/// Four elements' random bits at once, from element 4 * `counter` on, 16 each, the first lowest.
constexpr std::uint64_t GeneratedWord(std::uint64_t key, std::uint64_t counter) {
  return Mix(key + counter * 0xD1342543DE82EF95U);
}

/// Odd, from -65535 to 65535: symmetric, never 0.
constexpr std::int32_t OddOf(std::uint16_t bits) { return std::int32_t{bits} * 2 - 0xFFFF; }

constexpr std::int32_t GeneratedOdd(std::uint64_t key, std::uint64_t index) {
  return OddOf(static_cast<std::uint16_t>(GeneratedWord(key, index / 4) >> index % 4 * 16));
}

}  // namespace h1bench

#include "tasks/fewshot/numpy_generator.h"

#include <array>
#include <bit>
#include <numeric>
#include <utility>

namespace h1bench::tasks {
namespace {

/// np.random.SeedSequence(seed).generate_state(8, uint32): hashes as documented there, with a pool
/// of four words.
std::array<std::uint32_t, 8> SeedWords(std::uint64_t seed) {
  std::uint32_t factor = 0x43b0d7e5U;
  const auto hash = [&](std::uint32_t value) {
    value ^= factor;
    factor *= 0x931e8875U;
    value *= factor;
    return value ^ (value >> 16);
  };
  std::array<std::uint32_t, 4> pool = {hash(static_cast<std::uint32_t>(seed)),
                                       hash(static_cast<std::uint32_t>(seed >> 32)), hash(0),
                                       hash(0)};
  for (std::size_t from = 0; from < pool.size(); ++from) {
    for (std::size_t to = 0; to < pool.size(); ++to) {
      if (from == to) continue;
      const std::uint32_t mixed = 0xca01f9ddU * pool[to] - 0x4973f715U * hash(pool[from]);
      pool[to] = mixed ^ (mixed >> 16);
    }
  }
  std::array<std::uint32_t, 8> words = {};
  factor = 0x8b51f9ddU;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::uint32_t value = pool[i % pool.size()] ^ factor;
    factor *= 0x58f38dedU;
    value *= factor;
    words[i] = value ^ (value >> 16);
  }
  return words;
}

}  // namespace

NumpyGenerator::NumpyGenerator(std::uint64_t seed) {
  const std::array<std::uint32_t, 8> words = SeedWords(seed);
  const auto pair = [&](std::size_t i) {
    return (std::uint64_t{words[i + 1]} << 32) | std::uint64_t{words[i]};
  };
  const Wide start = (Wide{pair(0)} << 64) | Wide{pair(2)};
  increment_ = (((Wide{pair(4)} << 64) | Wide{pair(6)}) << 1) | 1U;
  Step();
  state_ += start;
  Step();
}

void NumpyGenerator::Step() {
  constexpr Wide kFactor = (Wide{0x2360ed051fc65da4U} << 64) | Wide{0x4385df649fccf645U};
  state_ = state_ * kFactor + increment_;
}

std::uint64_t NumpyGenerator::Next64() {
  Step();
  const auto high = static_cast<std::uint64_t>(state_ >> 64),
             low = static_cast<std::uint64_t>(state_);
  return std::rotr(high ^ low, static_cast<int>(high >> 58));
}

std::uint32_t NumpyGenerator::Next32() {
  if (!has_half_) half_ = Next64();
  const std::uint64_t drawn = has_half_ ? half_ >> 32 : half_;
  has_half_ = !has_half_;
  return static_cast<std::uint32_t>(drawn);
}

std::uint32_t NumpyGenerator::Bounded(std::uint32_t last) {
  std::uint32_t mask = last, drawn = 0;
  for (const unsigned shift : {1U, 2U, 4U, 8U, 16U}) mask |= mask >> shift;
  do drawn = Next32() & mask;
  while (drawn > last);
  return drawn;
}

std::vector<std::size_t> NumpyGenerator::Permutation(std::size_t n) {
  std::vector<std::size_t> places(n);
  std::iota(places.begin(), places.end(), std::size_t{0});
  for (std::size_t i = n; i-- > 1;)
    std::swap(places[i], places[Bounded(static_cast<std::uint32_t>(i))]);
  return places;
}

}  // namespace h1bench::tasks

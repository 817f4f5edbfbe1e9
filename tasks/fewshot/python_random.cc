#include "tasks/fewshot/python_random.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <numeric>
#include <set>

namespace h1bench::tasks {
namespace {
constexpr std::size_t kN = 624, kM = 397;
}  // namespace

PythonRandom::PythonRandom(std::uint64_t seed) : state_() {
  std::vector<std::uint32_t> key = {static_cast<std::uint32_t>(seed)};
  if (seed >> 32 != 0) key.push_back(static_cast<std::uint32_t>(seed >> 32));
  state_[0] = 19650218U;
  for (std::size_t i = 1; i < kN; ++i) {
    state_[i] =
        1812433253U * (state_[i - 1] ^ (state_[i - 1] >> 30)) + static_cast<std::uint32_t>(i);
  }
  std::size_t i = 1, j = 0;
  for (std::size_t k = std::max(kN, key.size()); k > 0; --k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525U)) + key[j] +
                static_cast<std::uint32_t>(j);
    if (++i == kN) {
      state_[0] = state_[kN - 1];
      i = 1;
    }
    if (++j == key.size()) j = 0;
  }
  for (std::size_t k = kN - 1; k > 0; --k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941U)) -
                static_cast<std::uint32_t>(i);
    if (++i == kN) {
      state_[0] = state_[kN - 1];
      i = 1;
    }
  }
  state_[0] = 0x80000000U;
}

std::uint32_t PythonRandom::Next() {
  if (place_ == kN) {
    for (std::size_t i = 0; i < kN; ++i) {
      const std::uint32_t y = (state_[i] & 0x80000000U) | (state_[(i + 1) % kN] & 0x7fffffffU);
      state_[i] = state_[(i + kM) % kN] ^ (y >> 1) ^ ((y & 1U) != 0 ? 0x9908b0dfU : 0U);
    }
    place_ = 0;
  }
  std::uint32_t y = state_[place_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680U;
  y ^= (y << 15) & 0xefc60000U;
  return y ^ (y >> 18);
}

std::uint64_t PythonRandom::GetRandBits(int k) {
  if (k <= 32) return Next() >> (32 - k);
  const std::uint64_t low = Next();
  return low | static_cast<std::uint64_t>(Next() >> (64 - k)) << 32;
}

std::uint64_t PythonRandom::RandBelow(std::uint64_t n) {
  const int bits = static_cast<int>(std::bit_width(n));
  std::uint64_t drawn = GetRandBits(bits);
  while (drawn >= n) drawn = GetRandBits(bits);
  return drawn;
}

std::vector<std::size_t> PythonRandom::Sample(std::size_t n, std::size_t k) {
  // Lib/random.py chooses between a pool and a set by comparing their sizes; the two consume
  // different draws.
  std::size_t set_size = 21;
  if (k > 5)
    set_size += static_cast<std::size_t>(
        std::pow(4, std::ceil(std::log(static_cast<double>(k) * 3) / std::log(4.0))));
  std::vector<std::size_t> drawn;
  drawn.reserve(k);
  if (n <= set_size) {
    std::vector<std::size_t> pool(n);
    std::iota(pool.begin(), pool.end(), 0);
    for (std::size_t i = 0; i < k; ++i) {
      const std::size_t j = RandBelow(n - i);
      drawn.push_back(pool[j]);
      pool[j] = pool[n - i - 1];
    }
    return drawn;
  }
  std::set<std::size_t> seen;
  while (drawn.size() < k) {
    const std::size_t j = RandBelow(n);
    if (seen.insert(j).second) drawn.push_back(j);
  }
  return drawn;
}

double PythonRandom::Random() {
  const std::uint32_t high = Next() >> 5, low = Next() >> 6;
  return (static_cast<double>(high) * 67108864.0 + static_cast<double>(low)) / 9007199254740992.0;
}

std::string PythonRandom::Uuid4() {
  std::uint64_t low = GetRandBits(64), high = GetRandBits(64);
  low = (low & 0x3fffffffffffffffULL) | 0x8000000000000000ULL;  // RFC 4122 variant
  high = (high & ~0xf000ULL) | 0x4000ULL;                       // version 4
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffff,
                     high & 0xffff, low >> 48, low & 0xffffffffffffULL);
}

}  // namespace h1bench::tasks

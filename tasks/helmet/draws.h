#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "tasks/fewshot/numpy_generator.h"

/// How upstream chooses rows: Hugging Face's Dataset.shuffle, CPython's random.sample, and seeds
/// from SHA-256.
namespace h1bench::tasks::helmet {

/// sha256(text) mod 2^31, plus `more`, mod 2^31: the seed of what belongs to one question.
std::uint64_t TextSeed(std::string_view text, std::uint64_t more = 0);

/// `n` of the sorted keys, drawn by random.Random(42).sample; all when there are no more.
std::set<std::string> SampleKeys(const std::set<std::string>& keys, std::int64_t n);

/// The first `n` of Dataset.shuffle(seed).
template <typename T>
std::vector<T> Shuffled(const std::vector<T>& items, std::uint64_t seed, std::size_t n) {
  std::vector<T> chosen;
  for (const std::size_t place : NumpyGenerator(seed).Permutation(items.size())) {
    if (chosen.size() == n) break;
    chosen.push_back(items[place]);
  }
  return chosen;
}

/// Shuffled places of `keys` under `seed`, the first of every key, `n` of them; fewer when there
/// are not so many keys.
std::vector<std::size_t> DrawDistinct(const std::vector<std::string>& keys, std::uint64_t seed,
                                      std::size_t n);

}  // namespace h1bench::tasks::helmet

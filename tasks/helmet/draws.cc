#include "tasks/helmet/draws.h"

#include "base/sha256.h"
#include "tasks/fewshot/python_random.h"
#include "tasks/helmet/dataset.h"

namespace h1bench::tasks::helmet {

std::uint64_t TextSeed(std::string_view text, std::uint64_t more) {
  constexpr std::uint64_t kBelow = std::uint64_t{1} << 31;
  return (std::stoull(Sha256Hex(text).substr(48), nullptr, 16) % kBelow + more) % kBelow;
}

std::set<std::string> SampleKeys(const std::set<std::string>& keys, std::int64_t n) {
  const std::vector<std::string> sorted(keys.begin(), keys.end());
  std::set<std::string> chosen;
  const std::size_t count = std::min(sorted.size(), static_cast<std::size_t>(n));
  for (const std::size_t place : PythonRandom(kSeed).Sample(sorted.size(), count))
    chosen.insert(sorted[place]);
  return chosen;
}

std::vector<std::size_t> DrawDistinct(const std::vector<std::string>& keys, std::uint64_t seed,
                                      std::size_t n) {
  std::vector<std::size_t> chosen;
  std::set<std::string_view> known;
  for (const std::size_t place : NumpyGenerator(seed).Permutation(keys.size())) {
    if (chosen.size() == n) break;
    if (known.insert(keys[place]).second) chosen.push_back(place);
  }
  return chosen;
}

}  // namespace h1bench::tasks::helmet

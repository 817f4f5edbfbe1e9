#include "tasks/fewshot/draws.h"

#include "tasks/fewshot/python_random.h"

namespace h1bench::tasks {

std::vector<std::vector<std::size_t>> DrawShots(std::size_t documents, std::size_t rows,
                                                std::size_t shots, std::int64_t seed,
                                                std::int64_t world_size) {
  // CPython seeds with the absolute value.
  const auto bits = static_cast<std::uint64_t>(seed);
  PythonRandom random(seed < 0 ? 0 - bits : bits);
  std::vector<std::vector<std::size_t>> draws(documents);
  for (std::size_t d = 0; d < documents; ++d) {
    draws[d] =
        d % static_cast<std::size_t>(world_size) == 0 ? random.Sample(rows, shots) : draws[d - 1];
  }
  return draws;
}

}  // namespace h1bench::tasks

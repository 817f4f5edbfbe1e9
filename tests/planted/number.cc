#include <cstdlib>

#include "base/planted.h"

namespace h1bench {

int PlantedNumber() {
  static const int number = [] {
    const char* text = std::getenv("H1BENCH_PLANT_BUG");
    return text == nullptr ? 0 : std::atoi(text);
  }();
  return number;
}

}  // namespace h1bench

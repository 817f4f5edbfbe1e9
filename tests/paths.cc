#include "tests/paths.h"

namespace h1bench::testing {
namespace {

std::filesystem::path FromEnvironment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

}  // namespace

std::filesystem::path SourceDir() { return FromEnvironment("H1BENCH_TEST_SOURCE", H1_SOURCE_DIR); }
std::filesystem::path BinaryDir() { return FromEnvironment("H1BENCH_TEST_BINARY", H1_BINARY_DIR); }

}  // namespace h1bench::testing

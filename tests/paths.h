#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

/// Where tests find their files.
namespace h1bench::testing {

inline std::filesystem::path FromEnvironment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}
/// H1BENCH_TEST_SOURCE and H1BENCH_TEST_BINARY: for tests that run on another machine than the one
/// that built them (scripts/gpu-test).
inline std::filesystem::path SourceDir() {
  return FromEnvironment("H1BENCH_TEST_SOURCE", H1_SOURCE_DIR);
}
/// The h1bench binary of this build.
inline std::filesystem::path BinaryPath() {
  return FromEnvironment("H1BENCH_TEST_BINARY", H1_BINARY_DIR) / "h1bench";
}
/// The subset of golden files that every clone has.
inline std::filesystem::path GoldensDir() { return SourceDir() / "tests/goldens"; }
/// The folder with the full goldens/ and data/ (environment H1BENCH_SHARED, default ../shared of
/// the source tree). It may be absent: tests that need it GTEST_SKIP() with a message then.
inline std::filesystem::path SharedDir() {
  const char* from_environment = std::getenv("H1BENCH_SHARED");
  return from_environment != nullptr ? std::filesystem::path(from_environment)
                                     : SourceDir().parent_path() / "shared";
}
inline bool HaveShared() { return std::filesystem::exists(SharedDir() / "goldens"); }

}  // namespace h1bench::testing

/// First line of a test that needs the full golden files.
#define H1_NEED_SHARED()               \
  if (!h1bench::testing::HaveShared()) \
  GTEST_SKIP() << "needs the full golden files in " << h1bench::testing::SharedDir().string()

#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

/// Where tests find their files.
namespace h1bench::testing {

/// The source tree and the build folder. H1BENCH_TEST_SOURCE and H1BENCH_TEST_BINARY name others,
/// for tests that run on another machine than the one that built them (scripts/gpu-test).
/// Defined in paths.cc, which alone is compiled with absolute paths: every other object is the
/// same in any checkout, so that ccache finds it.
std::filesystem::path SourceDir();
std::filesystem::path BinaryDir();

/// The h1bench binary of this build.
inline std::filesystem::path BinaryPath() { return BinaryDir() / "h1bench"; }
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

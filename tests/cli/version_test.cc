#include <gtest/gtest.h>

#include "base/build_info.h"
#include "base/file.h"
#include "base/json.h"
#include "tests/cli/run_program.h"
#include "tests/paths.h"

namespace h1bench {
namespace {

using testing::RunProgram;

TEST(Version, SaysWhatTheProgramWasBuiltFrom) {
  const auto run = RunProgram({testing::BinaryPath(), "--version", "--json"});
  ASSERT_EQ(run.exit_code, 0);
  const auto json = ParseJson(run.output);
  ASSERT_TRUE(json.ok()) << run.output;
  EXPECT_EQ(json->Find("source_digest")->as_string().size(), 64U);
  EXPECT_EQ(json->Find("engine_build")->as_string().size(), 64U);
  for (const char* library : {"sqlite", "grpc", "protobuf", "openssl", "pcre2", "oniguruma",
                              "utf8proc", "fmt", "libcurl", "zlib"})
    EXPECT_NE(json->Find("libraries")->Find(library), nullptr) << library;
  EXPECT_NE(RunProgram({testing::BinaryPath(), "--version"}).output.find("sha256"),
            std::string::npos);
}

// The digest is a function of the source files: no git, another place, another time.
TEST(Version, DigestIsTheSameInATarballAndSeesEveryChange) {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "h1bench-version-XXXXXX").string();
  const std::filesystem::path copy = mkdtemp(pattern.data());
  for (const char* name : {"base", "cli", "cmake", "harness", "kernels", "proto", "reports",
                           "runner", "tasks", "CMakeLists.txt", "CMakePresets.json"})
    std::filesystem::copy(testing::SourceDir() / name, copy / name,
                          std::filesystem::copy_options::recursive);
  const auto digest = [&](const std::filesystem::path& source) {
    const std::filesystem::path out = copy / "out.cc";
    const auto run = RunProgram({"cmake", "-DSOURCE=" + source.string(), "-DOUTPUT=" + out.string(),
                                 "-P", (testing::SourceDir() / "cmake/build_info.cmake").string()});
    EXPECT_EQ(run.exit_code, 0) << run.output;
    const std::string text = ReadFile(out).value();
    std::filesystem::remove(out);
    const std::size_t end =
        text.rfind("\", \"\", \"\", \"\"}");  // compiler, type and flags are empty here
    return text.substr(end - 64, 64);
  };
  const std::string here = digest(testing::SourceDir());
  EXPECT_EQ(here, digest(copy));
  EXPECT_EQ(here, digest(copy));
  ASSERT_TRUE(WriteFileAtomically(copy / "kernels/new.h", "#pragma once\n").ok());
  EXPECT_NE(here, digest(copy));
  std::filesystem::remove_all(copy);
}

TEST(Version, EngineBuildDependsOnSourcesAndFlagsNotOnTheRevision) {
  const BuildInfo before = GetBuildInfo();
  BuildInfo info{"1", "abc", false, "digest", "GNU 12", "Release", "-O2"};
  SetBuildInfo(info);
  const std::string build = EngineBuild();
  info.git_revision = "def";
  info.dirty = true;
  SetBuildInfo(info);
  EXPECT_EQ(EngineBuild(), build);
  info.flags = "-O3";
  SetBuildInfo(info);
  EXPECT_NE(EngineBuild(), build);
  SetBuildInfo(before);
}

}  // namespace
}  // namespace h1bench

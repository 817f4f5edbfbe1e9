#include "tasks/data/manifest.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "tests/paths.h"

namespace h1bench::tasks {
namespace {

namespace fs = std::filesystem;

TEST(Manifest, EveryKnownFileIsTheRealOne) {
  H1_NEED_SHARED();
  for (const KnownFile& file : KnownFiles())
    EXPECT_EQ(CheckFile(h1bench::testing::SharedDir() / "data", file), FileState::kKnown)
        << file.path;
}

TEST(Manifest, TableIsConsistent) {
  std::set<std::string_view> paths;
  for (const KnownFile& file : KnownFiles()) {
    EXPECT_TRUE(paths.insert(file.path).second) << file.path;
    EXPECT_EQ(file.sha256.size(), 64U);
    EXPECT_EQ(FindKnownFile(file.path), &file);
  }
  EXPECT_EQ(SelectFiles({"mmlu"})->size(), 114U);
  EXPECT_EQ(SelectFiles({})->size(), 114U + 2 + 1 + 2);
  EXPECT_EQ(SelectFiles({"wonderwords"})->size(), 3U);
  EXPECT_EQ(SelectFiles({"essays"})->size(), 49U);
  EXPECT_EQ(FindKnownFile("mmlu/test/alchemy_test.csv"), nullptr);
  EXPECT_NE(SelectFiles({"mmlv"}).status().message().find("did you mean mmlu"), std::string::npos);
  EXPECT_EQ(UpstreamUrl(*FindKnownFile("gsm8k/test.jsonl")),
            "https://raw.githubusercontent.com/openai/grade-school-math/"
            "3101c7d5072418e28b9008a6636bde82a006892c/grade_school_math/data/test.jsonl");
}

TEST(Manifest, OneChangedByteIsSeen) {
  std::string pattern = (fs::temp_directory_path() / "h1bench-manifest-XXXXXX").string();
  const fs::path folder = mkdtemp(pattern.data());
  const KnownFile file{"humaneval", "humaneval/HumanEval.jsonl.gz", 3,
                       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"};
  EXPECT_NE(RequireKnownFile(folder, file).message().find("data fetch humaneval"),
            std::string::npos);
  fs::create_directories(folder / "humaneval");
  std::ofstream(folder / file.path) << "abc";
  EXPECT_TRUE(RequireKnownFile(folder, file).ok());
  std::ofstream(folder / file.path) << "abd";
  EXPECT_NE(RequireKnownFile(folder, file).message().find("not upstream's file"),
            std::string::npos);
  std::ofstream(folder / file.path) << "abcd";
  EXPECT_EQ(CheckFile(folder, file), FileState::kDifferent);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace h1bench::tasks

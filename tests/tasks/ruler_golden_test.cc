#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/sha256.h"
#include "base/text.h"
#include "runner/tokenizer/tokenizer.h"
#include "tasks/ruler/generator.h"
#include "tasks/ruler/import.h"
#include "tests/paths.h"

// Every sample of the golden files, made by NVIDIA's own scripts: the hash of its text, of its
// answers as Python writes them in JSON, and its length in tokens.
namespace h1bench::tasks::ruler {
namespace {

namespace fs = std::filesystem;

TokenCounter Counter(const fs::path& file) {
  auto opened = Tokenizer::Open(file);
  EXPECT_TRUE(opened.ok()) << opened.status().message();
  const auto tokenizer = std::make_shared<Tokenizer>(std::move(*opened));
  return [tokenizer](std::string_view text) {
    return static_cast<std::int64_t>(tokenizer->Encode(text).size());
  };
}

const Sources& AllSources() {
  static const Sources kSources = [] {
    auto read = ReadSources(h1bench::testing::SharedDir() / "data", {true, true, true, true, true});
    EXPECT_TRUE(read.ok()) << read.status().message();
    return *read;
  }();
  return kSources;
}

struct Golden {
  std::string task;
  std::int64_t length = 0;
  std::vector<std::string> lines;
};

/// Of a folder with LENGTH/TASK.sha256.
std::vector<Golden> GoldenFiles(const fs::path& folder) {
  std::vector<Golden> files;
  for (const std::int64_t length : {4096, 8192, 16384}) {
    for (const Spec& spec : Specs()) {
      const fs::path path = folder / std::to_string(length) / (std::string(spec.name) + ".sha256");
      if (!fs::exists(path)) continue;
      Golden golden{spec.name, length, {}};
      const std::string text = *ReadFile(path);
      for (const std::string_view line : SplitLines(text)) {
        if (!line.empty()) golden.lines.emplace_back(line);
      }
      files.push_back(std::move(golden));
    }
  }
  return files;
}

void ExpectEverySample(const fs::path& folder, const TokenCounter& count, const Sources& sources,
                       std::size_t expected_files) {
  const std::vector<Golden> files = GoldenFiles(folder);
  EXPECT_EQ(files.size(), expected_files);
  for (const Golden& golden : files) {
    const auto samples = Generate(
        {FindSpec(golden.task), golden.length, static_cast<std::int64_t>(golden.lines.size())},
        sources, count);
    ASSERT_TRUE(samples.ok()) << samples.status().message();
    for (std::size_t i = 0; i < golden.lines.size(); ++i) {
      const Sample& sample = (*samples)[i];
      EXPECT_EQ(fmt::format("{}\t{}\t{}", Sha256Hex(sample.input),
                            Sha256Hex(PythonJson(sample.outputs)), sample.length),
                golden.lines[i])
          << folder << " " << golden.length << " " << golden.task << " sample " << i << "\n"
          << sample.input.substr(0, 300);
    }
  }
}

/// In every clone: the tasks that draw from no file.
TEST(RulerGolden, ThreeTasksOfEveryClone) {
  const fs::path folder = h1bench::testing::GoldensDir() / "ruler";
  ExpectEverySample(folder, Counter(folder / "digits-punctuation.json"), {}, 9);
}

TEST(SlowRulerGolden, EverySampleForGpt2) {
  H1_NEED_SHARED();
  const fs::path shared = h1bench::testing::SharedDir();
  ExpectEverySample(shared / "goldens/ruler/gpt2", Counter(shared / "data/tokenizers/gpt2"),
                    AllSources(), 24);
}

TEST(SlowRulerGolden, EverySampleForDigitsPunctuation) {
  H1_NEED_SHARED();
  const fs::path goldens = h1bench::testing::SharedDir() / "goldens";
  ExpectEverySample(goldens / "ruler/digits-punctuation",
                    Counter(goldens / "tokenizers/digits-punctuation.json"), AllSources(), 23);
}

}  // namespace
}  // namespace h1bench::tasks::ruler

#include "tasks/data_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "tasks/options.h"
#include "tasks/task.h"
#include "tests/paths.h"
#include "tests/tasks/gzip.h"

namespace h1bench::tasks {
namespace {

namespace fs = std::filesystem;
using Rows = std::vector<std::vector<std::string>>;

Rows Parsed(const std::string& text, std::size_t columns) {
  auto rows = ParseCsv(text, "f.csv", columns);
  EXPECT_TRUE(rows.ok()) << rows.status().message();
  return rows.ok() ? *rows : Rows{};
}

std::string CsvError(const std::string& text, std::size_t columns) {
  const auto rows = ParseCsv(text, "f.csv", columns);
  EXPECT_FALSE(rows.ok());
  return rows.ok() ? "" : rows.status().message();
}

TEST(Csv, QuotesAndLineBreaksAsPythonsReader) {
  // list(csv.reader(...)) of the same text
  EXPECT_EQ(Parsed("a,\"b,\"\"c\"\"\",d\r\n1,\"two\nlines\",\n", 3),
            (Rows{{"a", "b,\"c\"", "d"}, {"1", "two\nlines", ""}}));
  EXPECT_EQ(Parsed("a \"b\" c, x \n", 2), (Rows{{"a \"b\" c", " x "}}));  // quotes inside stay
  EXPECT_EQ(Parsed("\"a\"b,c", 2), (Rows{{"ab", "c"}}));
  EXPECT_EQ(Parsed("a,b\n\n\nc,d", 2), (Rows{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(Parsed("\"\",\"\"\n", 2), (Rows{{"", ""}}));
}

TEST(Csv, ErrorsNameFileLineAndCounts) {
  EXPECT_EQ(CsvError("a,b\n\"x\ny\",z\nc\n", 2), "f.csv:4: expected 2 fields, found 1");
  EXPECT_EQ(CsvError("a,b,c\n", 2), "f.csv:1: expected 2 fields, found 3");
  EXPECT_EQ(CsvError("a,b\nc,\"d\n\ne", 2), "f.csv:2: a quoted field never ends");
  EXPECT_NE(CsvError("", 2).find("found none"), std::string::npos);
  EXPECT_EQ(CsvError("a\n" + std::string(1'000'000, ','), 0),
            "f.csv:2: expected at most 1000 fields");
  std::string many;
  for (int i = 0; i < 2'200'000; ++i) many += ",\n";
  EXPECT_EQ(CsvError(many, 2), "f.csv:2097153: expected at most 4194304 fields in all rows");
  EXPECT_NE(CsvError("a,\xff\n", 2).find("UTF-8"), std::string::npos);
}

/// A folder that goes away with the test.
class DataFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "h1bench-data-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path Write(const std::string& name, const std::string& bytes) {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  /// The error of reading `text` as rows with a string "key".
  std::string JsonError(const std::string& text) {
    const auto rows = ReadJsonLines(Write("rows.jsonl", text), {"key"});
    EXPECT_FALSE(rows.ok()) << text;
    return rows.ok() ? "" : rows.status().message();
  }
  fs::path folder_;
};

TEST_F(DataFiles, JsonLinesErrorsNameFileAndLine) {
  const std::string file = (folder_ / "rows.jsonl").string();
  EXPECT_EQ(JsonError("{\"key\": \"a\"}\n\n{\"kex\": \"a\"}\n"),
            file + ":3: the key \"key\" is missing");
  EXPECT_EQ(JsonError("{\"key\": 3}\n"), file + ":1: key: expected a string, found integer");
  EXPECT_EQ(JsonError("[]\n"), file + ":1: expected a JSON object, found array");
  EXPECT_TRUE(JsonError("{\"key\": \"a\"}\n{\"key\": \"a\"\n").starts_with(file + ":2: "));
  EXPECT_TRUE(JsonError("{\"key\": \"a\", \"key\": \"b\"}\n").starts_with(file + ":1: "));
  EXPECT_NE(JsonError("\n \n").find("found none"), std::string::npos);
  const auto good = ReadJsonLines(Write("good.jsonl", "{\"key\": \"\\u00e9\"}\r\n"), {"key"});
  ASSERT_TRUE(good.ok()) << good.status().message();
  EXPECT_EQ((*good)[0].Find("key")->as_string(), "\xC3\xA9");
}

/// Each line of a file may be within a document's limit, and all together take all memory.
TEST_F(DataFiles, JsonLinesAreBoundedTogether) {
  constexpr int kLines = 8, kNumbers = (1 << 20) - 5;  // and object, two keys, string, array
  std::string line = R"({"key":"","n":[0)";
  for (int i = 1; i < kNumbers; ++i) line += ",0";
  line += "]}\n";
  std::string text;
  for (int i = 0; i < kLines; ++i) text += line;
  const std::string file = (folder_ / "rows.jsonl").string();
  EXPECT_EQ(ParseJsonLines(text, "f", {"key"})->size(), 8U);  // 8 Mi exactly
  EXPECT_EQ(JsonError(text + "\n{\"key\":\"\"}"),
            file + ":10: expected at most 8388608 values and keys in all lines");
}

TEST_F(DataFiles, Gzip) {
  const std::string text = "{\"key\": \"value\"}\n", packed = h1bench::testing::Gzip(text);
  EXPECT_EQ(*ReadMaybeGzip(Write("a.gz", packed)), text);
  EXPECT_EQ(*ReadMaybeGzip(Write("plain", packed)), packed);
  for (std::size_t size = 0; size < packed.size(); ++size) {
    const auto cut = ReadMaybeGzip(Write("cut.gz", packed.substr(0, size)));
    ASSERT_FALSE(cut.ok()) << size;
    EXPECT_EQ(cut.status().code(), StatusCode::kCorrupt);
    EXPECT_NE(cut.status().message().find("cut.gz"), std::string::npos);
    EXPECT_NE(cut.status().message().find("h1bench data fetch"), std::string::npos);
  }
  std::string wrong = packed;
  wrong[wrong.size() - 8] = static_cast<char>(wrong[wrong.size() - 8] ^ 1);  // its CRC
  EXPECT_FALSE(ReadMaybeGzip(Write("wrong.gz", wrong)).ok());
}

TEST_F(DataFiles, GzipSecondMemberIsRead) {
  // `cat a.gz b.gz` is one file to gunzip and to Python.
  EXPECT_EQ(*ReadMaybeGzip(
                Write("two.gz", h1bench::testing::Gzip("one\n") + h1bench::testing::Gzip("two\n"))),
            "one\ntwo\n");
  EXPECT_FALSE(ReadMaybeGzip(Write("tail.gz", h1bench::testing::Gzip("one\n") + "rubbish")).ok());
}

TEST_F(DataFiles, MissingFolderAndFilesSayWhatToDo) {
  TaskOptions options;
  options.data = folder_;
  for (const char* name : {"mmlu", "gsm8k", "gsm8k_cot", "humaneval", "humaneval_instruct"}) {
    const auto task = LoadTask(name, options);
    ASSERT_FALSE(task.ok()) << name;
    EXPECT_EQ(task.status().code(), StatusCode::kNotFound);
    EXPECT_NE(task.status().message().find("h1bench data fetch"), std::string::npos) << name;
  }
  fs::create_directories(folder_ / "gsm8k");
  const auto no_file = LoadTask("gsm8k", options);
  ASSERT_FALSE(no_file.ok());
  EXPECT_NE(no_file.status().message().find("test.jsonl"), std::string::npos);
}

TEST_F(DataFiles, MmluRefusesAWrongLetter) {
  Write("mmlu/dev/anatomy_dev.csv", "q,a,b,c,d,A\nq,a,b,c,d,B\n");
  Write("mmlu/test/anatomy_test.csv", "q,a,b,c,d,A\nq,a,b,c,d,E\n");
  TaskOptions options;
  options.data = folder_;
  options.subjects = {"anatomy"};
  options.shots = 2;
  auto task = LoadTask("mmlu", options);
  ASSERT_FALSE(task.ok());
  EXPECT_NE(task.status().message().find("anatomy_test.csv: row 1"), std::string::npos)
      << task.status().message();
  EXPECT_NE(task.status().message().find("\"E\""), std::string::npos);
  Write("mmlu/test/anatomy_test.csv", "q,a,b,c,d,A\nq,a,b,c,d,D\n");
  EXPECT_TRUE(LoadTask("mmlu", options).ok());
  options.shots = 5;
  task = LoadTask("mmlu", options);
  ASSERT_FALSE(task.ok());
  EXPECT_NE(task.status().message().find("at least 5 rows"), std::string::npos);
}

TEST_F(DataFiles, MmluStripsQuestionsAndNotChoices) {
  Write("mmlu/dev/high_school_physics_dev.csv", "\" one\n\",a, b,c ,d,C\n");
  Write("mmlu/test/high_school_physics_test.csv", "\xC2\xA0 two ,e,f,g,\"h \",A\n");
  TaskOptions options;
  options.data = folder_;
  options.subjects = {"high_school_physics"};
  options.shots = 1;
  const auto task = LoadTask("mmlu", options);
  ASSERT_TRUE(task.ok()) << task.status().message();
  EXPECT_EQ((*task)->BuildRequest((*task)->documents()[0]).context,
            "The following are multiple choice questions (with answers) about high school "
            "physics.\n\none\nA. a\nB.  b\nC. c \nD. d\nAnswer: C\n\n"
            "two\nA. e\nB. f\nC. g\nD. h \nAnswer:");
}

TEST_F(DataFiles, DigestCoversNamesAndBytes) {
  Write("a", "1");
  Write("b", "1");
  const auto digest = [&](const char* name) {
    DataDigest one;
    EXPECT_TRUE(one.Add(folder_, name).ok());
    return one.Finish();
  };
  const std::string before = digest("a");
  EXPECT_EQ(before.size(), 64U);
  EXPECT_NE(before, digest("b"));
  Write("a", "2");
  EXPECT_NE(before, digest("a"));
  EXPECT_FALSE(DataDigest().Add(folder_, "absent").ok());
}

}  // namespace
}  // namespace h1bench::tasks

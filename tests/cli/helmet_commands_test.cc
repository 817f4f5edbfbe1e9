#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "runner/tokenizer/tokenizer.h"
#include "tests/cli/run_process.h"
#include "tests/paths.h"

// HELMET through whole commands, with a real tokenizer.
namespace h1bench {
namespace {

namespace fs = std::filesystem;
using testing::Program;

class HelmetCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "h1bench-helmet-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string Model() {
    return (testing::GoldensDir() / "ruler/digits-punctuation.json").string();
  }
  /// Of `command helmet` on the small files with these arguments.
  std::string Out(const std::string& command, const std::string& subject, const fs::path& data,
                  std::vector<std::string> more, int expected = 0) {
    std::vector<std::string> arguments = {command,     "helmet", "--data",     data.string(),
                                          "--model",   Model(),  "--lengths",  "8192",
                                          "--samples", "3",      "--subjects", subject};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Program program(folder_, command, arguments);
    EXPECT_EQ(program.Wait(), expected) << program.err();
    return expected == 0 ? program.out() : program.err();
  }

  fs::path folder_;
};

TEST_F(HelmetCommands, ContextsAreCutInTokensOfTheModel) {
  // Two- and four-byte characters: a token may end within one.
  const fs::path file = folder_ / "helmet/ruler/niah_multikey_2/validation_8192.jsonl";
  fs::create_directories(file.parent_path());
  std::string context;
  for (int i = 0; i < 9000; ++i) context += i % 3 == 0 ? " \xF0\x9F\x98\x80" : "\xC3\xA9 stone";
  Json row;
  row.Set("context", context).Set("query", "key").Set("type_needle_v", "number");
  row.Set("outputs", Json(Json::Array{Json("1")}));
  std::ofstream(file) << WriteJson(row) << "\n";
  const std::string prompt = Out("prompts", "ruler_niah_mk_2", folder_, {"--show", "0"});
  EXPECT_TRUE(IsValidUtf8(prompt));
  const auto tokenizer = Tokenizer::Open(Model());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const std::size_t tokens = tokenizer->Encode(prompt).size();
  EXPECT_LE(tokens, 8192U - 50 + 1);  // the text behind the cut may start another token
  EXPECT_GE(tokens, 8192U - 50 - 4);
  const std::size_t begin = prompt.find('\n') + 1, end = prompt.find("\nWhat is the special");
  ASSERT_NE(end, std::string::npos);
  EXPECT_TRUE(context.starts_with(prompt.substr(begin, end - begin)));
}

TEST_F(HelmetCommands, VariantsOfAQuestionAreGradedByTheirPlace) {
  const fs::path data = testing::GoldensDir() / "helmet/data";
  const auto expected = ReadFile(testing::GoldensDir() / "helmet/expected.jsonl");
  ASSERT_TRUE(expected.ok());
  std::string id, index, answer;
  for (const std::string_view line : SplitLines(*expected)) {
    const auto row = ParseJson(line);
    if (!row.ok() || row->Find("subset")->as_string() != "8192/triviaqa") continue;
    id = row->Find("id")->as_string();
    index = std::to_string(row->Find("index")->as_int());
    answer = row->Find("answers")->as_array()[0].as_string();
    break;
  }
  const std::string file = (folder_ / "responses.jsonl").string();
  std::ofstream(file) << R"({"task_id": ")" << id << R"(", "response": "x"})"
                      << "\n";
  EXPECT_NE(Out("grade", "triviaqa", data, {file}, 2)
                .find("task_id: 2 documents have the id \"" + id + "\"; say which"),
            std::string::npos);
  std::ofstream(file) << R"({"task_id": ")" << id << R"(", "index": )" << index
                      << R"(, "response": " )" << answer << R"("})"
                      << "\n";
  const std::string graded = Out("grade", "triviaqa", data, {file});
  EXPECT_NE(graded.find(R"("scores":{"score":1)"), std::string::npos) << graded;
}

}  // namespace
}  // namespace h1bench

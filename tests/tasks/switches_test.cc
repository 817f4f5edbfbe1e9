// Parity switches: every documented difference, and nothing else.
#include "tasks/switches.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "base/text.h"
#include "tasks/scoring/answers.h"
#include "tests/paths.h"

namespace h1bench::tasks {
namespace {

namespace fs = std::filesystem;

/// A data folder with one subject of MMLU (two of them) and one word problem.
class SwitchTest : public ::testing::Test {
 protected:
  SwitchTest()
      : folder_(fs::path(::testing::TempDir()) /
                ("switches-" +  // tests run side by side
                 std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()))) {
    fs::remove_all(folder_);
    for (const char* subject : {"anatomy", "virology"}) {
      Write(fmt::format("mmlu/dev/{}_dev.csv", subject), "\" one \",a,b,c,d,C\ntwo,e,f,g,h,D\n");
      Write(fmt::format("mmlu/test/{}_test.csv", subject), "three ,i,j,k,l,A\n");
    }
    const std::string row = R"({"question": "How many?", "answer": "so\n#### 18"})";
    Write("gsm8k/train.jsonl", row + "\n");
    Write("gsm8k/test.jsonl", row + "\n");
  }
  ~SwitchTest() override { fs::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  TaskOptions Options() const {
    TaskOptions options;
    options.data = folder_;
    options.shots = 1;
    return options;
  }
  TaskOptions MmluOptions() const {
    TaskOptions options = Options();
    options.subjects = {"anatomy"};
    return options;
  }
  static std::unique_ptr<Task> Load(const std::string& name, const TaskOptions& options) {
    auto task = LoadTask(name, options);
    EXPECT_TRUE(task.ok()) << task.status().message();
    return std::move(task).value();
  }
  static std::string Refusal(const std::string& name, const TaskOptions& options) {
    const auto task = LoadTask(name, options);
    EXPECT_FALSE(task.ok());
    return task.status().message();
  }
  static std::string Text(const Task& task, const char* key) {
    return task.Describe().Find(key)->as_string();
  }
  static std::string Prompt(const Task& task) {
    return task.BuildRequest(task.documents()[0]).context;
  }

  fs::path folder_;
};

TEST_F(SwitchTest, MmluOriginalHasTwoSpacesAndStripsNothing) {
  TaskOptions options = MmluOptions();
  const std::string usual = Prompt(*Load("mmlu", options));
  options.mmlu_prompt = "lm-eval";
  EXPECT_EQ(Prompt(*Load("mmlu", options)), usual);
  EXPECT_EQ(usual,
            "The following are multiple choice questions (with answers) about anatomy.\n\n"
            "one\nA. a\nB. b\nC. c\nD. d\nAnswer: C\n\nthree\nA. i\nB. j\nC. k\nD. l\nAnswer:");
  options.mmlu_prompt = "original";
  options.count_tokens = [](std::string_view text) {
    return static_cast<std::int64_t>(text.size());
  };
  const auto task = Load("mmlu", options);
  EXPECT_EQ(Prompt(*task),
            "The following are multiple choice questions (with answers) about  anatomy.\n\n"
            " one \nA. a\nB. b\nC. c\nD. d\nAnswer: C\n\n"
            "three \nA. i\nB. j\nC. k\nD. l\nAnswer:");
  EXPECT_NE(Text(*task, "protocol").find("original"), std::string::npos);
}

TEST_F(SwitchTest, MmluOriginalDropsShotsFromTheBack) {
  Write("mmlu/dev/anatomy_dev.csv", "first,a,b,c,d,C\n" + std::string(1700, 'x') + ",e,f,g,h,D\n");
  TaskOptions options = MmluOptions();
  options.shots = 2;
  options.mmlu_prompt = "original";
  options.count_tokens = [](std::string_view text) {
    return static_cast<std::int64_t>(text.size()) + 500;
  };
  const std::string prompt = Prompt(*Load("mmlu", options));  // below 2048 bytes: not counted
  EXPECT_NE(prompt.find("xxx"), std::string::npos);
  Write("mmlu/dev/anatomy_dev.csv", "first,a,b,c,d,C\n" + std::string(2100, 'x') + ",e,f,g,h,D\n");
  const std::string cut = Prompt(*Load("mmlu", options));
  EXPECT_EQ(cut.find("xxx"), std::string::npos);
  EXPECT_NE(cut.find("first"), std::string::npos);
  options.count_tokens = [](std::string_view) { return std::int64_t{2048}; };  // just fits
  EXPECT_NE(Prompt(*Load("mmlu", options)).find("xxx"), std::string::npos);
}

TEST_F(SwitchTest, MmluOriginalNeedsATokenizerAndNoTemplate) {
  TaskOptions options = MmluOptions();
  options.mmlu_prompt = "original";
  EXPECT_NE(Refusal("mmlu", options).find("give --model"), std::string::npos);
  options.chat = "single";
  EXPECT_NE(Refusal("mmlu", options).find("no chat form"), std::string::npos);
}

TEST_F(SwitchTest, AnatomyMovesToOther) {
  const auto groups = [&](const TaskOptions& options) {
    return WriteJson(*Load("mmlu", options)->Describe().Find("groups"));
  };
  TaskOptions options = Options();
  options.subjects = {"anatomy", "virology"};
  EXPECT_EQ(groups(options), R"({"other":["virology"],"stem":["anatomy"]})");
  options.mmlu_anatomy = "other";
  EXPECT_EQ(groups(options), R"({"other":["anatomy","virology"]})");
}

TEST_F(SwitchTest, AverageIsTheHeadline) {
  TaskOptions options = MmluOptions();
  EXPECT_EQ(Text(*Load("mmlu", options), "headline"), "micro");
  for (const char* average : {"macro", "lm-eval"}) {
    options.mmlu_average = average;
    const auto task = Load("mmlu", options);
    EXPECT_EQ(Text(*task, "headline"), average);
    EXPECT_NE(Text(*task, "protocol").find(average), std::string::npos);
  }
}

TEST_F(SwitchTest, NumbersBesideStrings) {
  TaskOptions options = Options();
  const Response response{"#### 18.0", {}, {}};
  auto task = Load("gsm8k", options);
  EXPECT_EQ(task->ScoreResponse(task->documents()[0], response, nullptr).scores.size(), 2U);
  options.gsm8k_compare = "both";
  task = Load("gsm8k", options);
  const Score score = task->ScoreResponse(task->documents()[0], response, nullptr);
  const std::vector<std::pair<std::string, double>> expected = {
      {"exact_match,strict-match", 0},
      {"exact_match,flexible-extract", 0},
      {"numeric_match,strict-match", 1},
      {"numeric_match,flexible-extract", 1}};
  EXPECT_EQ(score.scores, expected);
  EXPECT_EQ(task->Describe().Find("metrics")->as_array().size(), 4U);
}

// A filter that gives up is no wrong answer: it has a verdict of its own.
TEST_F(SwitchTest, AFilterAtItsLimitSaysSo) {
  std::string text = "\xff";  // not UTF-8: checked again for every match
  for (int i = 0; i < 100'000; ++i) text += "12.5 ";
  const auto task = Load("gsm8k", Options());
  const Score score = task->ScoreResponse(task->documents()[0], {text, {}, {}}, nullptr);
  EXPECT_EQ(score.verdict, "regex_limit");
  EXPECT_FALSE(score.detail.empty());
  EXPECT_EQ(score.scores[1].second, 0);
  const Score small = task->ScoreResponse(task->documents()[0], {"#### 18", {}, {}}, nullptr);
  EXPECT_EQ(small.verdict, "");
}

TEST(Numbers, AreComparedExactly) {
  for (const char* same : {"18", "18.0", "018", "$18.00", "18.", "1 8", "-18"}) {
    const bool expected = std::string(same) != "1 8" && std::string(same) != "-18";
    EXPECT_EQ(Gsm8kSameNumber(same, "so\n#### 18"), expected) << same;
  }
  EXPECT_TRUE(Gsm8kSameNumber("1,000", "#### 1000.0"));
  EXPECT_TRUE(Gsm8kSameNumber("-0", "0"));
  EXPECT_TRUE(Gsm8kSameNumber(".5", "0.50"));
  // Beyond a double's digits.
  EXPECT_FALSE(Gsm8kSameNumber("9007199254740993", "9007199254740992"));
  for (const char* none : {"[invalid]", "", "-", ".", "1.2.3", "5..", "--5"})
    EXPECT_FALSE(Gsm8kSameNumber(none, none)) << none;
}

TEST(Numbers, DotBehindACotAnswer) {
  const std::string open = "The answer is 18", closed = open + ".", more = open + " eggs";
  EXPECT_EQ(Gsm8kCotStrict(open), "1");
  EXPECT_EQ(Gsm8kCotStrict(closed), "18");
  EXPECT_EQ(Gsm8kCotStrict(more), "18");
  EXPECT_EQ(Gsm8kCotStrict(open, CotDot::kDot), "[invalid]");
  EXPECT_EQ(Gsm8kCotStrict(closed, CotDot::kDot), "18");
  EXPECT_EQ(Gsm8kCotStrict(more, CotDot::kDot), "[invalid]");
  EXPECT_EQ(Gsm8kCotStrict(open, CotDot::kNone), "18");
  EXPECT_EQ(Gsm8kCotStrict(closed, CotDot::kNone), "18.");  // the comparison deletes the dot
  EXPECT_EQ(Gsm8kCotStrict(more, CotDot::kNone), "18");
}

TEST_F(SwitchTest, CotDotReachesTheScore) {
  TaskOptions options = Options();
  for (const auto& [dot, expected] :
       std::vector<std::pair<std::string, double>>{{"", 0}, {"dot", 0}, {"none", 1}}) {
    options.gsm8k_cot_dot = dot;
    const auto task = Load("gsm8k_cot", options);
    const Score score =
        task->ScoreResponse(task->documents()[0], {"The answer is 18", {}, {}}, nullptr);
    EXPECT_EQ(score.scores[0].second, expected) << dot;
  }
  EXPECT_NE(Refusal("gsm8k", options).find("gsm8k_cot_dot is of gsm8k_cot"), std::string::npos);
}

TEST_F(SwitchTest, EverySwitchRefusesOtherValuesAndTasks) {
  ASSERT_GE(Switches().size(), 5U);
  for (const Switch& one : Switches()) {
    TaskOptions options = Options();
    options.*one.member = "purple";
    EXPECT_NE(Refusal("mmlu", options).find(fmt::format("{}: expected {}", one.key, one.values[0])),
              std::string::npos);
  }
  TaskOptions options = Options();
  options.mmlu_average = "macro";
  EXPECT_NE(Refusal("gsm8k", options).find("mmlu_average does not apply"), std::string::npos);
}

TEST(Switches, EachStandsInTheDocumentWithItsValues) {
  const auto document = ReadFile(h1bench::testing::SourceDir() / "docs/suite.md");
  ASSERT_TRUE(document.ok());
  for (const Switch& one : Switches()) {
    std::string row = fmt::format("\n| `{}` | ", one.key);
    const std::size_t start = document->find(row);
    ASSERT_NE(start, std::string::npos) << one.key;
    row = document->substr(start + 1, document->find('\n', start + 1) - start - 1);
    EXPECT_NE(row.find(fmt::format(" | `{}` | ", fmt::join(one.values, "`, `"))), std::string::npos)
        << row;
  }
}

TEST_F(SwitchTest, EngineSwitchesReachTheRequestAndTheProtocol) {
  TaskOptions options = Options();
  Request request;
  ApplySwitches(options, request);
  EXPECT_FALSE(request.add_bos);
  EXPECT_EQ(SwitchNote(options), "");
  options.bos = "once";
  EXPECT_NE(Load("gsm8k", options), nullptr);
  ApplySwitches(options, request);
  EXPECT_TRUE(request.add_bos);
  EXPECT_EQ(SwitchNote(options), ", BOS in front");
  EXPECT_FALSE(request.bf16_softmax);
  options.log_softmax = "bf16";
  ApplySwitches(options, request);
  EXPECT_TRUE(request.bf16_softmax);
  EXPECT_EQ(SwitchNote(options), ", BOS in front, log-softmax in bf16");
  EXPECT_NE(Refusal("gsm8k", options).find("log_softmax does not apply"), std::string::npos);
  TaskOptions ranks;
  ranks.fewshot_world_size = 4;
  EXPECT_EQ(SwitchNote(ranks), ", shots drawn as on 4 ranks");
  options.subjects = {"anatomy"};
  EXPECT_NE(Load("mmlu", options), nullptr);
  TaskOptions with_system;
  with_system.system = "Be\nbrief.";
  EXPECT_EQ(SwitchNote(with_system), ", system prompt \"Be\\nbrief.\"");
}

TEST_F(SwitchTest, SystemStandsInFrontOfEveryPrompt) {
  for (const char* task : {"mmlu", "gsm8k", "gsm8k_cot", "humaneval", "humaneval_instruct"}) {
    TaskOptions options;
    options.data = h1bench::testing::SourceDir() / "demo/data";
    if (std::string(task) == "mmlu") options.subjects = {"anatomy"};
    const auto plain = Load(task, options);
    options.system = "Be brief.";
    const auto with = Load(task, options);
    ASSERT_TRUE(plain && with) << task;
    const std::string text = plain->BuildRequest(plain->documents()[0]).context;
    EXPECT_EQ(with->BuildRequest(with->documents()[0]).context,
              (std::string(task) == "mmlu" ? "Be brief.\n\n" : "Be brief.") + text);
    options.chat = "single";
    const auto chat = Load(task, options);
    ASSERT_TRUE(chat) << task;
    EXPECT_TRUE(chat->BuildRequest(chat->documents()[0])
                    .context.starts_with("<|begin_of_text|><|im_start|>system\nBe brief."));
  }
}

}  // namespace
}  // namespace h1bench::tasks

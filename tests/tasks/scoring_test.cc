#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "tasks/data_file.h"
#include "tasks/scoring/answers.h"
#include "tasks/scoring/regex.h"
#include "tasks/task.h"
#include "tests/paths.h"

namespace h1bench::tasks {
namespace {

using Clock = std::chrono::steady_clock;

// PCRE2's own limits begin anew at every place where a match may begin: these ran for minutes.
TEST(RegexWork, IsBoundedOverAllPlacesAndMatches) {
  const std::string many(100'000, 'a');
  const std::vector<std::pair<std::string, std::string>> hostile = {
      {"[^b]*(?<=d)", many},
      {"(?:[^b]*?)(?<=d)", many},
      {"(.)\\1*+(?<=d)", many},
      {"[ab]*[ab]*(?<=d)", std::string(1'400, 'a')},
      {"[ab]*[ab]*c(?<=d)", std::string(1'300, 'a') + "c"},
      {"(a|aa)+$", std::string(3'000, 'a') + "b"},
  };
  for (const auto& [pattern, text] : hostile) {
    const auto start = Clock::now();
    const auto found = Regex::Compile(pattern)->FindAll(text);
    EXPECT_EQ(found.status().code(), StatusCode::kResourceExhausted) << pattern;
    EXPECT_LT(Clock::now() - start, std::chrono::seconds(20)) << pattern;
  }
}

TEST(RegexWork, IsEnoughForLongTexts) {
  std::string numbers;
  for (int i = 0; i < 100'000; ++i) numbers += "12.5 ";
  const auto found = Regex::Compile("(-?[$0-9.,]{2,})|(-?[0-9]+)")->FindAll(numbers);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->size(), 100'000U);
  EXPECT_TRUE(Regex::Compile("(?s).*#### ")->FindAll(std::string(500'000, '#')).ok());
}

/// Responses whose extractions were measured with lm-eval's own filters.
TEST(Answers, Gsm8kVectors) {
  struct Vector {
    std::string response, strict, flexible;
    std::string gold;  // what the flexible extraction equals; not changed again by normalising
  };
  const std::vector<Vector> vectors = {
      {" 9 * 2 = $18 a day.\n#### 18", "18", "18", "18"},
      {" #### 1,234.\n", "1,234.", "1,234.", "1234"},
      {"#### $29.00", "[invalid]", "$29.00", "29.00"},
      {" The total is $29.00.", "[invalid]", "$29.00.", "29.00"},
      {" #### -3\n\n#### 7", "-3", "7", "7"},
      {" costs $5... or", "[invalid]", "$5...", "5..."},  // one dot of three goes: 5..
      {"#### 18.0", "18.0", "18.0", "18.0"},
      {" so 5", "[invalid]", "5", "5"},
      {"", "[invalid]", "[invalid]", "[invalid]"},
  };
  for (const Vector& v : vectors) {
    EXPECT_EQ(Gsm8kStrict(v.response), v.strict) << v.response;
    EXPECT_EQ(FlexibleExtract(v.response), v.flexible) << v.response;
    EXPECT_TRUE(Gsm8kExactMatch(v.flexible, v.gold)) << v.response;
    EXPECT_FALSE(Gsm8kExactMatch(v.flexible, v.gold + "1")) << v.response;
  }
  EXPECT_FALSE(Gsm8kExactMatch("$5...", "5"));
  EXPECT_TRUE(Gsm8kExactMatch("1,234.", "so\n#### 1234"));
}

TEST(Answers, CotStrictKeepsUpstreamsUnescapedDot) {
  EXPECT_EQ(Gsm8kCotStrict("so. The answer is 18."), "18");
  EXPECT_EQ(Gsm8kCotStrict("The answer is 18"), "1");  // the dot eats the last digit
  EXPECT_EQ(Gsm8kCotStrict("The answer is 5"), "[invalid]");
  EXPECT_EQ(Gsm8kCotStrict("The answer is $18."), "[invalid]");
  EXPECT_EQ(Gsm8kCotStrict("The answer is -3 eggs. The answer is 4."), "-3");
  EXPECT_EQ(Gsm8kCotStrict("the answer is 18."), "[invalid]");
}

TEST(Answers, ExactMatchComparesStrings) {
  EXPECT_FALSE(Gsm8kExactMatch("18.0", "so\n#### 18"));
  EXPECT_TRUE(Gsm8kExactMatch("18", "so 7\n#### 5\n#### 18"));
  EXPECT_TRUE(Gsm8kExactMatch("$1,000.", "#### 1000"));
  EXPECT_TRUE(Gsm8kExactMatch("ABC", "abc"));
  EXPECT_FALSE(Gsm8kExactMatch("18", "018"));
  EXPECT_FALSE(Gsm8kExactMatch("[invalid]", "#### 18"));
}

TEST(Answers, StripTakesWhatPythonTakes) {
  EXPECT_EQ(Strip(" \t\r\n\v\f a b \x1c\n"), "a b");
  EXPECT_EQ(Strip("\xC2\xA0\xE3\x80\x80x\xE2\x80\x89"), "x");  // U+00A0, U+3000, U+2009
  EXPECT_EQ(Strip("\xE2\x80\x8Bx"), "\xE2\x80\x8Bx");          // U+200B is no space to Python
  EXPECT_EQ(Strip(" \n "), "");
  EXPECT_EQ(Strip(""), "");
}

TEST(Regex, BadPatternNamesTheOffset) {
  const auto bad = Regex::Compile("ab(c");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(bad.status().message().find("at character 4"), std::string::npos)
      << bad.status().message();
}

TEST(Regex, MatchesAsPythonsFindIter) {
  const auto all = Regex::Constant("x*").FindAll("axb");
  ASSERT_TRUE(all.ok());
  std::vector<std::pair<std::size_t, std::size_t>> places;
  for (const auto& match : *all) places.emplace_back(match.begin, match.end);
  // [m.span() for m in re.finditer('x*', 'axb')]
  EXPECT_EQ(places,
            (std::vector<std::pair<std::size_t, std::size_t>>{{0, 0}, {1, 2}, {2, 2}, {3, 3}}));
  EXPECT_EQ(*Regex::Constant("(?s).*#### ").ReplaceAll("a\n#### 1\n#### 2", ""), "2");
  EXPECT_EQ(*Regex::Constant("a").ReplaceAll("banana", "$1"), "b$1n$1n$1");
  const auto groups = Regex::Constant("(a)|(b)").FindAll("b");
  ASSERT_TRUE(groups.ok());
  EXPECT_FALSE(groups->front().groups[0].has_value());
  EXPECT_EQ(groups->front().groups[1], "b");
}

TEST(Regex, RunawayPatternIsStoppedQuickly) {
  const auto start = Clock::now();
  const auto result = Regex::Constant("(a+)+$").FindAll(std::string(5000, 'a') + "b");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kResourceExhausted);
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(2));
  EXPECT_TRUE(Regex::Constant("(a+)+$").FindAll(std::string(5000, 'a')).ok());
}

TEST(Regex, ManyMatchesInALongTextTakeLinearTime) {
  std::string text;
  for (int i = 0; i < 300'000; ++i) text += "\u00e9";
  const auto started = Clock::now();
  EXPECT_EQ(Regex::Constant("x*").FindAll(text)->size(), 300'001U);
  EXPECT_EQ(Regex::Constant("\u00e9").ReplaceAll(text, "")->size(), 0U);
  // Checking the text again at every match took 8 s for 100,000 bytes, and grows with the square.
  EXPECT_LT(Clock::now() - started, std::chrono::seconds(5));
  EXPECT_EQ(Regex::Constant(".").FindAll("\xff\u00e9")->size(), 1U);  // and not where it is no text
  EXPECT_FALSE(Regex::Compile("\\C").ok());
}

TEST(Regex, ExtractorsStayQuickOnLongResponses) {
  const auto start = Clock::now();
  const std::string digits(1 << 18, '1'), marks = [] {
    std::string text;
    for (int i = 0; i < 20'000; ++i) text += "#### The answer is ";
    return text;
  }();
  EXPECT_EQ(FlexibleExtract(digits), digits);
  EXPECT_EQ(Gsm8kStrict(marks), "[invalid]");
  EXPECT_EQ(Gsm8kCotStrict(marks), "[invalid]");
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(2));
}

/// OpenAI's own verdicts on four models' answers, 1 319 each.
TEST(Answers, AgreeWithEveryPublishedVerdict) {
  H1_NEED_SHARED();
  const auto folder = h1bench::testing::SharedDir() / "data/gsm8k";
  const auto rows = ReadJsonLines(folder / "example_model_solutions.jsonl", {"question"});
  const auto tests = ReadJsonLines(folder / "test.jsonl", {"question", "answer"});
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  ASSERT_TRUE(tests.ok()) << tests.status().message();
  ASSERT_EQ(rows->size(), tests->size());
  int seen = 0, right = 0, different = 0;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    for (const char* model :
         {"6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"}) {
      const Json& answer = *(*rows)[i].Find(model);
      const Json& flag = *answer.Find("is_correct");
      const bool published = flag.is_bool() ? flag.as_bool() : flag.as_string() == "True";
      const bool ours = Gsm8kExactMatch(FlexibleExtract(answer.Find("solution")->as_string()),
                                        (*tests)[i].Find("answer")->as_string());
      ++seen;
      right += published ? 1 : 0;
      different += ours != published ? 1 : 0;
    }
  }
  EXPECT_EQ(seen, 5276);
  EXPECT_EQ(different, 0);
  EXPECT_GT(right, 1000);
  EXPECT_LT(right, 4000);
}

std::unique_ptr<Task> LoadDemo(const std::string& name) {
  TaskOptions options;
  options.data = h1bench::testing::SourceDir() / "demo/data";
  if (name == "mmlu") options.subjects = {"anatomy"};
  auto task = LoadTask(name, options);
  EXPECT_TRUE(task.ok()) << task.status().message();
  return task.ok() ? std::move(*task) : nullptr;
}

TEST(Scores, Gsm8kGivesBothFilters) {
  const auto task = LoadDemo("gsm8k");
  const Document& first = task->documents()[0];  // gold 24
  const Score right = task->ScoreResponse(first, {" 4*6=24\n#### 24", {}, {}}, nullptr);
  ASSERT_EQ(right.scores.size(), 2U);
  EXPECT_EQ(right.scores[0], (std::pair<std::string, double>("exact_match,strict-match", 1)));
  EXPECT_EQ(right.scores[1], (std::pair<std::string, double>("exact_match,flexible-extract", 1)));
  EXPECT_EQ(right.extracted, R"({"strict-match":"24","flexible-extract":"24"})");
  const Score loose = task->ScoreResponse(first, {" there are 24", {}, {}}, nullptr);
  EXPECT_EQ(loose.scores[0].second, 0);
  EXPECT_EQ(loose.scores[1].second, 1);
}

TEST(Scores, MmluTakesTheFirstOfEquals) {
  const auto task = LoadDemo("mmlu");
  const Document& first = task->documents()[0];
  ASSERT_EQ(first.gold, "D");
  const auto score = [&](std::vector<double> values) {
    return task->ScoreResponse(first, {"", std::move(values), {}}, nullptr);
  };
  EXPECT_EQ(score({-3, -2, -4, -1}).extracted, "D");
  EXPECT_EQ(score({-3, -2, -4, -1}).scores[0].second, 1);
  EXPECT_EQ(score({-3, -1, -4, -1}).extracted, "B");
  EXPECT_EQ(score({-3, -1, -4, -1}).scores[0].second, 0);
  EXPECT_EQ(score({-1, -1, -1, -1}).extracted, "A");
}

TEST(Scores, MmluWithoutFourNumbersIsNoAnswer) {
  const auto task = LoadDemo("mmlu");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::vector<double>& values :
       {std::vector<double>{}, {-1, -2, -3}, {nan, -2, -3, -4}, {-2, -2, -3, nan}}) {
    for (const Document& document : task->documents()) {
      const Score score = task->ScoreResponse(document, {"", values, {}}, nullptr);
      EXPECT_EQ(score.extracted, "");
      EXPECT_EQ(score.scores[0].second, 0);
      EXPECT_NE(score.detail, "");
    }
  }
}

/// Says pass and keeps what it was given.
struct RecordingJudge : CodeJudge {
  std::string prompt, completion, entry_point;
  Score Judge(const std::string& p, const std::string& c, const std::string&,
              const std::string& e) override {
    prompt = p;
    completion = c;
    entry_point = e;
    Score score;
    score.verdict = "pass";
    return score;
  }
};

TEST(Scores, HumanEvalHandsPromptAndCompletionToTheJudge) {
  RecordingJudge judge;
  const std::string text = "    return x + 2\n```\nThat is all.";
  const auto plain = LoadDemo("humaneval");
  const Score score = plain->ScoreResponse(plain->documents()[0], {text, {}, {}}, &judge);
  EXPECT_EQ(score.scores[0], (std::pair<std::string, double>("pass@1", 1)));
  EXPECT_EQ(judge.completion, text);
  EXPECT_EQ(judge.entry_point, "add_2");
  EXPECT_TRUE(judge.prompt.starts_with("def add_2(x):"));

  const auto chat = LoadDemo("humaneval_instruct");  // cut at the closing fence
  const Score cut = chat->ScoreResponse(chat->documents()[0], {text, {}, {}}, &judge);
  EXPECT_EQ(judge.completion, "    return x + 2\n");
  EXPECT_EQ(cut.extracted, "    return x + 2\n");

  const Score unjudged = plain->ScoreResponse(plain->documents()[0], {text, {}, {}}, nullptr);
  EXPECT_EQ(unjudged.verdict, "sandbox_error");
  EXPECT_EQ(unjudged.scores[0].second, 0);
}

}  // namespace
}  // namespace h1bench::tasks

// Tasks from a YAML file: the prompts and scores of the worked examples in demo/tasks, data of
// every shape, and what hangs on a response.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/file.h"
#include "tasks/data_file.h"
#include "tasks/scoring/text_match.h"
#include "tasks/task.h"
#include "tests/paths.h"
#include "tests/tasks/custom_fixture.h"

namespace h1bench::tasks {
namespace {

std::unique_ptr<Task> Example(const std::string& name, const TaskOptions& options = {}) {
  auto task =
      LoadTask((h1bench::testing::SourceDir() / "demo/tasks" / (name + ".yaml")).string(), options);
  EXPECT_TRUE(task.ok()) << task.status().message();
  return task.ok() ? std::move(*task) : nullptr;
}

std::vector<Json> Golden(const std::string& name) {
  auto rows =
      ReadJsonLines(h1bench::testing::GoldensDir() / "custom" / (name + ".jsonl"), {"prompt"});
  EXPECT_TRUE(rows.ok()) << rows.status().message();
  return rows.ok() ? *rows : std::vector<Json>();
}

/// Documents whose prompt or continuations differ from an independent program's.
std::size_t Differences(const Task& task, const std::vector<Json>& golden) {
  EXPECT_EQ(task.documents().size(), golden.size());
  std::size_t count = 0;
  for (std::size_t i = 0; i < std::min(golden.size(), task.documents().size()); ++i) {
    const Request request = task.BuildRequest(task.documents()[i]);
    std::vector<std::string> continuations;
    for (const Json& one : golden[i].Find("continuations")->as_array())
      continuations.push_back(one.as_string());
    count += request.context != golden[i].Find("prompt")->as_string() ||
             request.continuations != continuations;
  }
  return count;
}

TEST(CustomExamples, PromptsAreThoseOfAnIndependentProgram) {
  for (const std::string name : {"arc-challenge", "hellaswag", "triviaqa"}) {
    const auto golden = Golden(name);
    EXPECT_GE(golden.size(), 5U);
    EXPECT_EQ(Differences(*Example(name), golden), 0U) << name;
    TaskOptions other;
    other.seed = 1235;
    EXPECT_GT(Differences(*Example(name, other), golden), 0U) << name;
    other.seed = 1234;
    other.shots = 1;
    EXPECT_EQ(Differences(*Example(name, other), golden), golden.size()) << name;
  }
}

TEST(CustomExamples, TheDocumentShowsThem) {
  const auto root = h1bench::testing::SourceDir();
  const auto document = ReadFile(root / "docs/custom-tasks.md");
  ASSERT_TRUE(document.ok());
  for (const std::string name : {"arc-challenge", "hellaswag", "triviaqa"}) {
    const auto file = ReadFile(root / "demo/tasks" / (name + ".yaml"));
    ASSERT_TRUE(file.ok());
    EXPECT_NE(document->find("```yaml\n" + *file + "```\n"), std::string::npos) << name;
  }
}

std::vector<std::pair<std::string, double>> Scores(const Task& task, std::size_t document,
                                                   const Response& response) {
  return task.ScoreResponse(task.documents()[document], response, nullptr).scores;
}
using Values = std::vector<std::pair<std::string, double>>;

TEST(CustomExamples, ArcIsScoredBySumAndByCharacters) {
  const auto task = Example("arc-challenge");
  EXPECT_EQ(task->documents()[0].id, "own_11");
  EXPECT_EQ(task->documents()[2].gold, "The earth turns.");  // answerKey 2 of labels 1 2 3 4
  // Choices of 21, 16, 16 and 17 characters; the second is right.
  EXPECT_EQ(Scores(*task, 2, {"", {-9, -8, -8.5, -10}, {}}), (Values{{"acc", 1}, {"acc_norm", 0}}));
  EXPECT_EQ(Scores(*task, 2, {"", {-7, -4, -8.5, -10}, {}}), (Values{{"acc", 1}, {"acc_norm", 1}}));
  EXPECT_EQ(Scores(*task, 2, {"", {-4, -4, -4, -4}, {}}), (Values{{"acc", 0}, {"acc_norm", 0}}));
  const Json facts = task->Describe();
  EXPECT_EQ(facts.Find("kind")->as_string(), "loglikelihood");
  EXPECT_EQ(facts.Find("primary")->as_string(), "acc");
  // Four times four choices, once three, once five.
  EXPECT_NEAR(facts.Find("chance")->as_double(), (4 * 0.25 + 1 / 3.0 + 0.2) / 6, 1e-15);
  EXPECT_NE(facts.Find("definition")->as_string().find("answerKey"), std::string::npos);
}

TEST(CustomExamples, WithoutUsableNumbersNothingIsScored) {
  const auto task = Example("arc-challenge");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::vector<double>& values :
       {std::vector<double>{}, {-1, -2}, {-1, nan, -2, -3}, {nan, nan, nan, nan}}) {
    const Score score = task->ScoreResponse(task->documents()[0], {"", values, {}}, nullptr);
    EXPECT_EQ(score.scores, (Values{{"acc", 0}, {"acc_norm", 0}}));
    EXPECT_EQ(score.extracted, "");
    EXPECT_EQ(score.detail, "expected 4 log-likelihoods that are numbers");
  }
}

TEST(CustomExamples, HellaswagPutsTheNormalisedScoreFirst) {
  const auto task = Example("hellaswag");
  const Score score =
      task->ScoreResponse(task->documents()[0], {"", {-9, -9, -9, -9}, {}}, nullptr);
  EXPECT_EQ(score.scores, (Values{{"acc_norm", 0}, {"acc", 1}}));
  EXPECT_EQ(score.extracted, "hides it under the moon.");  // the longest, by the primary metric
  // As upstream: white space goes first, so that the mark's removal leaves a space.
  EXPECT_EQ(task->documents()[1].gold, " Put some earth into it.");
}

TEST(CustomExamples, TriviaTakesAnyAlias) {
  const auto task = Example("triviaqa");
  const Request request = task->BuildRequest(task->documents()[0]);
  EXPECT_EQ(request.stops, (std::vector<std::string>{"\n", ".", ","}));
  EXPECT_EQ(request.max_new_tokens, 24);
  EXPECT_EQ(Scores(*task, 2, {" KIWI BIRD", {}, {}}), (Values{{"exact_match", 1}, {"f1", 1}}));
  EXPECT_EQ(Scores(*task, 2, {" \"The Kiwi!\"", {}, {}}), (Values{{"exact_match", 1}, {"f1", 1}}));
  // lm-eval takes white space away in front only
  EXPECT_EQ(Scores(*task, 2, {"Kiwi ", {}, {}}), (Values{{"exact_match", 0}, {"f1", 1}}));
  EXPECT_EQ(Scores(*task, 2, {"the penguin", {}, {}}), (Values{{"exact_match", 0}, {"f1", 0.5}}));
  EXPECT_EQ(Scores(*task, 2, {"", {}, {}}), (Values{{"exact_match", 0}, {"f1", 0}}));
  EXPECT_EQ(task->documents()[2].gold, R"(["The Kiwi","Kiwi","Kiwi bird"])");
}

class CustomTask : public CustomFixture {};

TEST_F(CustomTask, CsvRowsAndWrittenChoices) {
  Write("w.csv",
        "\xef\xbb\xbfsentence,option 1,option 2,answer\r\n\"a _, b\",x,yy,2\r\nc _,z,w,1\n");
  const auto task = Load(
      "request: multiple_choice\ndata: w.csv\nprompt: \"{{sentence}} ->\"\n"
      "choices: [\"{{option 1}}\", \"{{ option 2 }}!\"]\nanswer: {field: answer, from: 1}\n"
      "metrics: [acc_bytes]\n");
  ASSERT_NE(task, nullptr);
  const Request request = task->BuildRequest(task->documents()[0]);
  EXPECT_EQ(request.context, "a _, b ->");
  EXPECT_EQ(request.continuations, (std::vector<std::string>{" x", " yy!"}));
  EXPECT_EQ(task->documents()[0].gold, "yy!");
  EXPECT_EQ(task->documents()[1].gold, "z");
}

TEST_F(CustomTask, BytesAreNotCharacters) {
  Write("d.jsonl", R"({"q":"?","c":["éééé","bbbbbb"],"a":0})");
  const auto task = Load(
      "request: multiple_choice\ndata: d.jsonl\nprompt: \"{{q}}\"\nchoices: c\nanswer: a\n"
      "metrics: [acc, acc_norm, acc_bytes]\n");
  ASSERT_NE(task, nullptr);
  // 4 characters or 8 bytes against 6
  EXPECT_EQ(Scores(*task, 0, {"", {-5.5, -6}, {}}),
            (Values{{"acc", 1}, {"acc_norm", 0}, {"acc_bytes", 1}}));
}

TEST_F(CustomTask, NestedFieldsListsAndNumbers) {
  Write("d.jsonl",
        R"({"question":{"stem":"s","choices":[{"text":"a","label":"A"},{"text":"b","label":"B"}]},)"
        R"("year":1999,"share":0.5,"yes":true,"a.b":"dotted","key":"B"})");
  const auto task = Load(
      "request: multiple_choice\ndata: d.jsonl\nprompt: \"{{question.stem}} {{year}} {{share}} "
      "{{yes}} {{a.b}} {{question.choices.1.text|capitalize}}\"\nchoices: question.choices.text\n"
      "answer: {field: key, labels: question.choices.label}\nmetrics: [acc]\n");
  ASSERT_NE(task, nullptr);
  EXPECT_EQ(task->BuildRequest(task->documents()[0]).context, "s 1999 0.5 true dotted B");
  EXPECT_EQ(task->documents()[0].gold, "b");
}

/// lm-eval's gsm8k as a task file.
std::string Gsm8kFile(const std::filesystem::path& data) {
  const std::string steps =
      "[{replace: \",\", with: \"\"}, {replace: $, with: \"\"}, {regex: '(?s).*#### ', with: "
      "\"\"}, {regex: '\\.$', with: \"\"}]\n";
  std::string filters = steps;
  filters.insert(1, "{find: '#### (\\-?[0-9\\.\\,]+)'}, ");
  return fmt::format(
      "request: generate_until\ndata: {0}/gsm8k/test.jsonl\nprompt: \"Question: "
      "{{{{question}}}}\\nAnswer:\"\nanswer: answer\nshots: {{data: {0}/gsm8k/train.jsonl, count: "
      "5}}\nmetrics: [exact_match]\nstops: [\"Question:\", </s>, <|im_end|>]\nignore: [case]\n"
      "filters: {1}answer_filters: {2}",
      data.string(), filters, steps);
}

/// Requests and scores that differ between two tasks of the same documents.
std::size_t Differences(const Task& a, const Task& b, const std::vector<std::string>& responses) {
  EXPECT_EQ(a.documents().size(), b.documents().size());
  std::size_t count = 0;
  for (std::size_t i = 0; i < std::min(a.documents().size(), b.documents().size()); ++i) {
    const Request one = a.BuildRequest(a.documents()[i]), two = b.BuildRequest(b.documents()[i]);
    bool same = one.context == two.context && one.stops == two.stops &&
                one.max_new_tokens == two.max_new_tokens;
    for (const std::string& response : responses)
      same &=
          Scores(a, i, {response, {}, {}})[0].second == Scores(b, i, {response, {}, {}})[0].second;
    count += !same;
  }
  return count;
}

TEST_F(CustomTask, Gsm8kAsATaskFileIsGsm8k) {
  TaskOptions options;
  options.data = h1bench::testing::SourceDir() / "demo/data";
  if (std::filesystem::is_directory(h1bench::testing::SharedDir() / "data/gsm8k"))
    options.data =
        h1bench::testing::SharedDir() / "data";  // whose prompts are lm-eval's: GoldenPrompts
  auto built_in = LoadTask("gsm8k", options);
  ASSERT_TRUE(built_in.ok()) << built_in.status().message();
  std::vector<std::string> responses = {"",        "#### ",        "none",
                                        "#### 18", "#### $1,800.", "#### -3.0"};
  for (std::size_t i = 0; i < 4; ++i)
    responses.push_back("so #### " + (*built_in)->documents()[i].gold + " #### 7");
  for (std::size_t i = 0; i < 4; ++i) responses.push_back((*built_in)->documents()[i].gold);
  const auto file = Load(Gsm8kFile(options.data));
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(Differences(*file, **built_in, responses), 0U);
  options.seed = 5;
  built_in = LoadTask("gsm8k", options);
  EXPECT_EQ(Differences(*file, **built_in, {}), file->documents().size());
}

constexpr const char* kSums =
    "request: generate_until\ndata: d.jsonl\nprompt: \"{{q}}\"\nanswer: a\nmetrics: "
    "[exact_match]\n";

TEST_F(CustomTask, FiltersAreAChain) {
  Write("d.jsonl", R"({"q":"1+1","a":"It is 2.\n#### 1,002"})");
  const auto task =
      Load(std::string(kSums) +
           "filters: [{find: 'answer is (-?[0-9.,]+)', match: last}, {replace: \",\", "
           "with: \"\"}]\nanswer_filters: [{find: '#### (.*)'}, {regex: '[,$]', with: "
           "\"\"}]\n");
  ASSERT_NE(task, nullptr);
  EXPECT_EQ(task->documents()[0].gold, "1002");
  EXPECT_EQ(Scores(*task, 0, {"The answer is 7. No, the answer is 1,002", {}, {}}),
            (Values{{"exact_match", 1}}));
  EXPECT_EQ(Scores(*task, 0, {"The answer is 1,002. No, the answer is 7", {}, {}}),
            (Values{{"exact_match", 0}}));
  const Score none = task->ScoreResponse(task->documents()[0], {"1002", {}, {}}, nullptr);
  EXPECT_EQ(none.extracted, "[invalid]");
  EXPECT_EQ(none.scores[0].second, 0);
  EXPECT_EQ(none.verdict, "");
}

TEST_F(CustomTask, AnInvalidAnswerIsNeverRight) {
  Write("d.jsonl", R"({"q":"what","a":"[invalid]"})");
  const auto task = Load(std::string(kSums) + "filters: [{find: 'x(.)'}]\n");
  ASSERT_NE(task, nullptr);
  EXPECT_EQ(Scores(*task, 0, {"nothing", {}, {}}), (Values{{"exact_match", 0}}));
}

TEST_F(CustomTask, AHitWorkLimitIsAVerdict) {
  Write("d.jsonl", R"({"q":"1+1","a":"2"})");
  const auto task = Load(std::string(kSums) + "filters: [{find: '(a|aa)+$'}]\n");
  ASSERT_NE(task, nullptr);
  const Score score =
      task->ScoreResponse(task->documents()[0], {std::string(5000, 'a') + "b", {}, {}}, nullptr);
  EXPECT_EQ(score.verdict, "regex_limit");
  EXPECT_EQ(score.extracted, "[invalid]");
  EXPECT_EQ(score.scores[0].second, 0);
  EXPECT_NE(score.detail, "");
}

TEST_F(CustomTask, ShotsFromTheSameFileLeaveTheQuestionOut) {
  std::string rows;
  for (int i = 0; i < 6; ++i) rows += fmt::format("{{\"q\":\"q{}\",\"a\":\"a{}\"}}\n", i, i);
  Write("d.jsonl", rows);
  for (const std::string draw : {"random", "first"}) {
    const auto task =
        Load(kSums + fmt::format("shots: {{data: d.jsonl, count: 3, draw: {}, seed: 7}}\n", draw));
    ASSERT_NE(task, nullptr);
    for (std::size_t i = 0; i < 6; ++i) {
      const std::string prompt = task->BuildRequest(task->documents()[i]).context;
      EXPECT_EQ(std::count(prompt.begin(), prompt.end(), 'a'), 3);
      EXPECT_EQ(prompt.find(fmt::format("a{}", i)), std::string::npos) << prompt;
    }
  }
}

TEST_F(CustomTask, SubsetsLimitsAndShotsDoNotDependOnEachOther) {
  std::string rows;
  for (int i = 0; i < 6; ++i)
    rows += fmt::format("{{\"q\":\"q{}\",\"a\":\"a{}\",\"s\":\"{}\"}}\n", i, i, i < 3 ? "x" : "y");
  Write("d.jsonl", rows);
  const std::string yaml = std::string(kSums) + "subset: s\nshots: {data: d.jsonl, count: 2}\n";
  const auto whole = Load(yaml);
  TaskOptions options;
  options.limit = 1;
  const auto part = Load(yaml, options);
  ASSERT_NE(part, nullptr);
  ASSERT_EQ(part->documents().size(), 2U);
  EXPECT_EQ(part->documents()[1].subset, "y");
  EXPECT_EQ(part->documents()[1].index, 3);
  EXPECT_EQ(part->BuildRequest(part->documents()[1]).context,
            whole->BuildRequest(whole->documents()[3]).context);
}

TEST_F(CustomTask, ChatTemplatesAndSystemTexts) {
  Write("d.jsonl", "{\"q\":\"q0\",\"a\":\"a0\"}\n{\"q\":\"q1\",\"a\":\"a1\"}\n");
  TaskOptions options;
  const std::string yaml =
      std::string(kSums) + "system: Be {{a}}.\nshots: {data: d.jsonl, count: 1}\n";
  EXPECT_EQ(Load(yaml)->BuildRequest(Load(yaml)->documents()[0]).context, "Be a0.q1 a1\n\nq0");
  options.chat = "multiturn";
  const auto task = Load(yaml, options);
  EXPECT_EQ(task->BuildRequest(task->documents()[0]).context,
            "<|begin_of_text|><|im_start|>system\nBe a0.<|im_end|>\n<|im_start|>user\nq1"
            "<|im_end|>\n<|im_start|>assistant\na1<|im_end|>\n<|im_start|>user\nq0<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST_F(CustomTask, TheDigestSeesEveryFileAndNoFolder) {
  Write("d.jsonl", R"({"q":"1+1","a":"2"})");
  Write("s.jsonl", R"({"q":"1+2","a":"3"})");
  const std::string yaml = std::string(kSums) + "shots: {data: s.jsonl, count: 1}\n";
  const std::string digest = Load(yaml)->data_digest();
  EXPECT_EQ(digest.size(), 64U);
  EXPECT_EQ(Load(yaml)->data_digest(), digest);
  EXPECT_NE(Load(yaml + "# a comment\n")->data_digest(), digest);
  Write("s.jsonl", R"({"q":"1+2","a":"4"})");
  EXPECT_NE(Load(yaml)->data_digest(), digest);
  Write("s.jsonl", R"({"q":"1+2","a":"3"})");
  Write("d.jsonl", R"({"q":"1+1","a":"5"})");
  EXPECT_NE(Load(yaml)->data_digest(), digest);
  MoveElsewhere();
  Write("d.jsonl", R"({"q":"1+1","a":"2"})");
  Write("s.jsonl", R"({"q":"1+2","a":"3"})");
  EXPECT_EQ(Load(yaml)->data_digest(), digest);
}

TEST(TextMatch, NormalisationIsSquads) {
  const Ignore all{true, true, true, true};
  EXPECT_EQ(Normalise("  The  \"Cat\" sat on a mat. ", all), "cat sat on mat");
  EXPECT_EQ(Normalise("Theatre, an\tAnt", all), "theatre ant");
  EXPECT_EQ(Normalise("ÉCOLE the", all), "école");
  EXPECT_EQ(Normalise(" The Cat. ", {}), " The Cat. ");
  EXPECT_EQ(Normalise("A-b", {false, true, false, false}), "Ab");
}

TEST(TextMatch, KnownValues) {
  EXPECT_EQ(WordF1("the cat sat", "the cat"), 0.8);
  EXPECT_EQ(WordF1("cat cat cat", "cat"), 0.5);  // a word counts as often as it is there
  EXPECT_EQ(WordF1("", ""), 1);
  EXPECT_EQ(WordF1("", "x"), 0);
  EXPECT_EQ(WordF1("y", "x"), 0);
  EXPECT_EQ(Contains("say oslo now", "oslo"), 1);
  EXPECT_EQ(Contains("oslo", ""), 0);
  EXPECT_EQ(ExactMatch("a", "a "), 0);
}

}  // namespace
}  // namespace h1bench::tasks

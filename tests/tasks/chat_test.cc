// Prompts through a chat template: the bytes, and every hash that lm-eval made.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/sha256.h"
#include "base/text.h"
#include "tasks/prompt.h"
#include "tasks/task.h"
#include "tests/paths.h"
#include "tests/tasks/gzip.h"

namespace h1bench::tasks {
namespace {

const Prompt kPrompt = {"About letters.\n\n", {{"First?", "A"}, {"Second?", "B"}}, "Third?", ""};

TEST(Chat, Bytes) {
  EXPECT_EQ(RenderPrompt(kPrompt, ChatForm::kNone),
            "About letters.\n\nFirst? A\n\nSecond? B\n\nThird?");
  EXPECT_EQ(RenderPrompt(kPrompt, ChatForm::kSingle),
            "<|begin_of_text|><|im_start|>system\nAbout letters.\n\n<|im_end|>\n<|im_start|>user\n"
            "First? A\n\nSecond? B\n\nThird?<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(RenderPrompt(kPrompt, ChatForm::kMultiturn),
            "<|begin_of_text|><|im_start|>system\nAbout letters.\n\n<|im_end|>\n<|im_start|>user\n"
            "First?<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nSecond?"
            "<|im_end|>\n<|im_start|>assistant\nB<|im_end|>\n<|im_start|>user\nThird?<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(Chat, AStartedAnswerIsLeftOpen) {
  Prompt prompt{"", {}, "Write it.", "Here:\n"};
  EXPECT_EQ(
      RenderPrompt(prompt, ChatForm::kSingle),
      "<|begin_of_text|><|im_start|>user\nWrite it.<|im_end|>\n<|im_start|>assistant\nHere:\n");
  EXPECT_EQ(RenderPrompt(prompt, ChatForm::kNone), "Write it.Here:\n");
}

TEST(Chat, ContinuationsHaveNoSpaceAfterATemplate) {
  EXPECT_EQ(Continuation("A", ChatForm::kNone), " A");
  EXPECT_EQ(Continuation("A", ChatForm::kMultiturn), "A");
}

TEST(Chat, OtherFormsAreRefused) {
  const auto form = ParseChatForm("mmlu", "many");
  ASSERT_FALSE(form.ok());
  EXPECT_NE(form.status().message().find("single or multiturn"), std::string::npos);
}

TEST(Chat, ASystemPromptStandsInFrontOfTheDescription) {
  Prompt prompt = kPrompt;
  prompt.instruction = "Be brief.";
  EXPECT_EQ(RenderPrompt(prompt, ChatForm::kNone).substr(0, 26), "Be brief.\n\nAbout letters.\n");
  EXPECT_TRUE(
      RenderPrompt(prompt, ChatForm::kMultiturn)
          .starts_with("<|begin_of_text|><|im_start|>system\nBe brief.\n\nAbout letters.\n\n"
                       "<|im_end|>\n<|im_start|>user\nFirst?"));
  prompt.instruction = "Be brief.\n";  // white space at the joint: nothing more
  EXPECT_EQ(SystemText(prompt), "Be brief.\nAbout letters.\n\n");
  prompt.system.clear();  // as lm-eval: nothing between it and the question
  EXPECT_TRUE(RenderPrompt(prompt, ChatForm::kNone).starts_with("Be brief.\nFirst? A"));
}

TaskOptions Counting() {
  TaskOptions options;
  options.count_tokens = [](std::string_view text) {
    return static_cast<std::int64_t>(text.size() / 4);
  };
  options.system = "Be brief.";
  options.chat = "single";
  return options;
}

TEST(Chat, NiahLeavesTheAnswerOpen) {
  TaskOptions options = Counting();
  options.lengths = {512};
  options.depths = {50};
  options.samples = 1;
  const auto chat = LoadTask("niah", options);
  ASSERT_TRUE(chat.ok()) << chat.status().message();
  const std::string text = (*chat)->BuildRequest((*chat)->documents()[0]).context;
  EXPECT_TRUE(text.starts_with(
      "<|begin_of_text|><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nA special magic "
      "number is hidden"));
  const std::string mark =
      " mentioned in the provided text?<|im_end|>\n<|im_start|>assistant\nThe "
      "special magic number for ";
  EXPECT_NE(text.find(mark), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with(" mentioned in the provided text is"));
  // The template is part of the length, and a haystack without it would not fit with it.
  const auto tokens = [&](const std::string& of) { return options.count_tokens(of) + 32; };
  EXPECT_LE(tokens(text), 512);
  options.chat = options.system = "";
  const auto plain = LoadTask("niah", options);
  ASSERT_TRUE(plain.ok());
  EXPECT_GT((*plain)->BuildRequest((*plain)->documents()[0]).context.size() + 100, text.size());
  // One BOS in front of the text is a token, too: the text is made for one less.
  options.lengths = {513};
  options.bos = "once";
  const auto bos = LoadTask("niah", options);
  ASSERT_TRUE(bos.ok());
  EXPECT_LE(tokens((*bos)->BuildRequest((*bos)->documents()[0]).context) + 1, 513);
}

TEST(Chat, HumanEvalPlusAsEvalPlusAsks) {
  const std::string folder = ::testing::TempDir() + "h1bench-chat-plus";
  std::filesystem::create_directories(folder + "/humanevalplus");
  std::ofstream(folder + "/humanevalplus/HumanEvalPlus.jsonl.gz") << h1bench::testing::Gzip(
      R"({"task_id": "HumanEval/0", "prompt": "\ndef f():\n", "canonical_solution": "x", )"
      R"("entry_point": "f", "base_input": [], "plus_input": [], "atol": 0})");
  TaskOptions options;
  options.data = folder;
  options.chat = "single";
  options.system = "Be brief.";
  const auto task = LoadTask("humanevalplus_chat", options);
  ASSERT_TRUE(task.ok()) << task.status().message();
  EXPECT_EQ(
      (*task)->BuildRequest((*task)->documents()[0]).context,
      "<|begin_of_text|><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nPlease "
      "provide a self-contained Python script that solves the following problem in a markdown "
      "code block:\n```\ndef f():\n```\n<|im_end|>\n<|im_start|>assistant\nBelow is a Python "
      "script with a self-contained function that solves the problem and passes corresponding "
      "tests:\n```python\n");
  EXPECT_EQ(
      LoadTask("humanevalplus", options).status().message(),
      "task humanevalplus: chat: EvalPlus asks in other words through a chat template: use the "
      "task humanevalplus_chat");
  std::filesystem::remove_all(folder);
}

/// Rows of a golden file that `options` do not reproduce.
std::size_t Different(const std::string& task_name, const TaskOptions& options,
                      const std::filesystem::path& golden, std::size_t& rows) {
  const auto task = LoadTask(task_name, options);
  EXPECT_TRUE(task.ok()) << task.status().message();
  std::ifstream file(golden);
  std::size_t different = 0;
  std::string line;
  for (const Document& document : (*task)->documents()) {
    if (!std::getline(file, line)) break;
    std::istringstream fields(line);
    std::size_t index = 0, characters = 0;
    std::string hash;
    fields >> index >> characters >> hash;
    const std::string prompt = (*task)->BuildRequest(document).context;
    different += CountCodePoints(prompt) != characters || Sha256Hex(prompt) != hash;
    ++rows;
  }
  return different;
}

/// Compares every file TASK.FORM.tsv in `goldens`; rows compared.
std::size_t CompareAll(const std::filesystem::path& goldens, const std::filesystem::path& data) {
  std::size_t rows = 0;
  for (const auto& entry : std::filesystem::directory_iterator(goldens)) {
    if (entry.path().extension() != ".tsv") continue;
    const std::string stem = entry.path().stem().string();
    std::string task = stem.substr(0, stem.find('.'));
    TaskOptions options;
    options.data = data;
    options.chat = stem.substr(stem.find('.') + 1);
    if (task.starts_with("mmlu_")) {
      options.subjects = {task.substr(5)};
      options.limit = 10;
      task = "mmlu";
    }
    EXPECT_EQ(Different(task, options, entry.path(), rows), 0U) << stem;
    options.chat = options.chat == "single" ? "multiturn" : "single";
    std::size_t ignored = 0;  // the other form must differ, or nothing was compared
    if (!task.starts_with("humaneval")) {
      EXPECT_GT(Different(task, options, entry.path(), ignored), 0U) << stem;
    }
  }
  return rows;
}

TEST(Chat, GoldenHashesOfEveryClone) {
  const auto folder = testing::GoldensDir() / "prompts_chat";
  EXPECT_EQ(CompareAll(folder, folder / "data"), 200U);
}

TEST(Chat, EveryGoldenHash) {
  H1_NEED_SHARED();
  EXPECT_EQ(
      CompareAll(testing::SharedDir() / "goldens/prompts_chat", testing::SharedDir() / "data"),
      6052U);
}

}  // namespace
}  // namespace h1bench::tasks

// Prompts through a chat template: the bytes, and every hash that lm-eval made.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/sha256.h"
#include "base/text.h"
#include "tasks/prompt.h"
#include "tasks/task.h"
#include "tests/paths.h"

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

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

/// How a prompt is put together from its parts: lm-eval's rules (PROTOCOLS of lm-eval 4e7e0d47,
/// api/task.py), with and without a chat template.
namespace h1bench::tasks {

enum class ChatForm {
  kNone,       // one text
  kSingle,     // one user message that holds shots and question (fewshot_as_multiturn false)
  kMultiturn,  // a user and an assistant message for every shot (lm-eval's default with a template)
};
/// "" is kNone, "single", "multiturn"; the error lists them.
Result<ChatForm> ParseChatForm(std::string_view task, std::string_view name);
const char* ChatFormName(ChatForm form);  // "none", "single", "multiturn"

/// For a protocol line: "", or ", chat template (multiturn)".
std::string ChatNote(ChatForm form);

struct Shot {
  std::string question, answer;
};

struct Prompt {
  std::string system;       // the task's description: in front of the text, or the system message
  std::vector<Shot> shots;  // worked examples
  std::string question;
  std::string started;        // what the answer begins with ("gen_prefix"); empty: nothing
  std::string instruction{};  // the suite's `system`, in front of the description
};

/// lm-eval's system_instruction and description: an empty line between them unless white space is
/// there already.
std::string SystemText(const Prompt& prompt);

/// Without a template: that, then question, space, answer and an empty line for every shot,
/// then the question and what the answer begins with. With one: ChatML as Falcon-H1 writes it,
/// begin-of-text once in front, and the assistant's turn opened (and left open after `started`).
std::string RenderPrompt(const Prompt& prompt, ChatForm form);

/// Continuations follow a text after a space, the opening of an assistant's turn without one.
std::string Continuation(std::string_view answer, ChatForm form);

}  // namespace h1bench::tasks

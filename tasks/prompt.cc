#include "tasks/prompt.h"

namespace h1bench::tasks {
namespace {

/// Shots and question as one text.
std::string Body(const Prompt& prompt) {
  std::string text;
  for (const Shot& shot : prompt.shots) text += shot.question + " " + shot.answer + "\n\n";
  return text + prompt.question;
}

std::string Message(std::string_view role, std::string_view content) {
  return fmt::format("<|im_start|>{}\n{}<|im_end|>\n", role, content);
}

}  // namespace

Result<ChatForm> ParseChatForm(std::string_view task, std::string_view name) {
  if (name.empty()) return ChatForm::kNone;
  for (const ChatForm form : {ChatForm::kSingle, ChatForm::kMultiturn}) {
    if (name == ChatFormName(form)) return form;
  }
  return InvalidArgument("task {}: chat: expected single or multiturn, found \"{}\"", task, name);
}

const char* ChatFormName(ChatForm form) {
  return form == ChatForm::kNone ? "none" : form == ChatForm::kSingle ? "single" : "multiturn";
}

std::string ChatNote(ChatForm form) {
  return form == ChatForm::kNone ? "" : fmt::format(", chat template ({})", ChatFormName(form));
}

std::string SystemText(const Prompt& prompt) {
  if (prompt.instruction.empty() || prompt.system.empty())
    return prompt.instruction + prompt.system;
  constexpr std::string_view kSpaces = " \t\n\v\f\r";
  const bool apart = kSpaces.find(prompt.instruction.back()) != std::string_view::npos ||
                     kSpaces.find(prompt.system.front()) != std::string_view::npos;
  return prompt.instruction + (apart ? "" : "\n\n") + prompt.system;
}

std::string RenderPrompt(const Prompt& prompt, ChatForm form) {
  const std::string system = SystemText(prompt);
  if (form == ChatForm::kNone) return system + Body(prompt) + prompt.started;
  std::string text = "<|begin_of_text|>";
  if (!system.empty()) text += Message("system", system);
  if (form == ChatForm::kMultiturn) {
    for (const Shot& shot : prompt.shots)
      text += Message("user", shot.question) + Message("assistant", shot.answer);
    text += Message("user", prompt.question);
  } else {
    text += Message("user", Body(prompt));
  }
  return text + "<|im_start|>assistant\n" + prompt.started;
}

std::string Continuation(std::string_view answer, ChatForm form) {
  return (form == ChatForm::kNone ? " " : "") + std::string(answer);
}

}  // namespace h1bench::tasks

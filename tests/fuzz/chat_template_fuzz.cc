// CheckChatTemplate on arbitrary text. What is accepted must spell every literal of the one form;
// text in front of an accepted template makes another form.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "runner/checkpoint/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto demand = [](bool condition) {
    if (!condition) std::abort();
  };
  const std::string text(reinterpret_cast<const char*>(data), size);
  const h1bench::Status status = h1bench::CheckChatTemplate(text, "<|begin_of_text|>");
  if (!status.ok()) {
    demand(!status.message().empty() && status.message().size() < 2000);
    return 0;
  }
  for (const char* part :
       {"im_start", "im_end", "assistant", "role", "content", "messages", "add_generation_prompt"})
    demand(text.find(part) != std::string::npos);
  demand(!h1bench::CheckChatTemplate("x" + text, "<|begin_of_text|>").ok());
  return 0;
}

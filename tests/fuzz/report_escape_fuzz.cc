// What models, datasets and suites wrote, on its way into reports and terminals: nothing of it may
// become markup, and nothing of it may vanish.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/text.h"
#include "reports/render/render.h"

namespace {

using namespace h1bench;

void Demand(bool condition) {
  if (!condition) std::abort();
}

std::string Unescaped(std::string html) {
  for (const auto& [name, text] : {std::pair<const char*, const char*>{"&lt;", "<"},
                                   {"&gt;", ">"},
                                   {"&quot;", "\""},
                                   {"&#39;", "'"},
                                   {"&amp;", "&"}})
    html = ReplaceAll(html, name, text);
  return html;
}

void CheckHtml(const std::string& text, const std::string& visible) {
  const std::string html = reports::EscapeHtml(text);
  Demand(html.find_first_of("<>\"'") == std::string::npos);
  Demand(Unescaped(html) == visible);
  Demand(html.size() <= 6 * visible.size());
}

void CheckMarkdown(const std::string& text, const std::string& visible) {
  const std::string markdown = reports::EscapeMarkdown(text);
  Demand(markdown.find_first_of("<>\n\r") == std::string::npos);
  Demand(markdown.size() <= 5 * visible.size());
  for (std::size_t i = 0; i < markdown.size(); ++i) {
    if (markdown[i] == '\\') {
      ++i;  // what it protects
      Demand(i < markdown.size());
      continue;
    }
    Demand(std::string("`*_{}[]()!|~$@").find(markdown[i]) == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::string valid = ReplaceInvalidUtf8(text);
  Demand(ReplaceInvalidUtf8(valid) == valid);
  const std::string visible = VisibleText(valid);
  Demand(VisibleText(visible) == visible);
  for (const char c : visible)
    Demand(c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 32);
  Demand(visible.size() <= 10 * valid.size());
  CheckHtml(text, visible);
  CheckMarkdown(text, visible);
  return 0;
}

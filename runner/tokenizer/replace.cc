#include "runner/tokenizer/replace.h"

#include "runner/tokenizer/normalizer.h"
#include "runner/tokenizer/split.h"

namespace h1bench::tokenizer {

Result<Replacement> Replacement::Read(const Node& node) {
  H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "pattern", "content"}));
  H1_ASSIGN_OR_RETURN(Regex regex, ReadPattern(node));
  H1_ASSIGN_OR_RETURN(std::string content, node.String("content"));
  return Replacement(std::move(regex), std::move(content));
}

std::string Replacement::Apply(std::string text, bool& gave_up) const {
  if (text.empty()) return text;  // upstream does not search an empty text
  std::vector<Part> parts;
  if (!AppendMatches(regex_, text, parts)) gave_up = true;
  std::string out;
  for (const Part& part : parts) {
    if (part.is_match && out.size() + content_.size() <= kMaxTextBytes) {
      out += content_;
    } else {
      gave_up = gave_up || part.is_match;
      out.append(text, part.span.begin, part.span.end - part.span.begin);
    }
  }
  return out;
}

}  // namespace h1bench::tokenizer

#include "runner/tokenizer/replace.h"

#include "runner/tokenizer/split.h"

namespace h1bench::tokenizer {

Result<Replacement> Replacement::Read(const Node& node) {
  H1_RETURN_IF_ERROR(node.OnlyMembers({"type", "pattern", "content"}));
  H1_ASSIGN_OR_RETURN(Regex regex, ReadPattern(node));
  H1_ASSIGN_OR_RETURN(std::string content, node.String("content"));
  return Replacement(std::move(regex), std::move(content));
}

std::string Replacement::Apply(std::string text, Budget& budget) const {
  if (text.empty() || budget.exhausted) return text;  // upstream does not search an empty text
  std::string out;
  std::size_t rest = 0;
  const bool complete = regex_.FindAll(text, [&](std::size_t begin, std::size_t end) {
    out.append(text, rest, begin - rest);
    if (out.size() + content_.size() + (text.size() - end) <= budget.max_bytes)
      out += content_;
    else
      budget.exhausted = true;
    rest = end;
  });
  out.append(text, rest);
  budget.exhausted = budget.exhausted || !complete;
  return out;
}

}  // namespace h1bench::tokenizer

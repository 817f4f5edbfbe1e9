#include "tasks/custom/steps.h"

#include "tasks/custom/template.h"
#include "tasks/scoring/answers.h"

namespace h1bench::tasks::custom {
namespace {

std::string ReplaceEvery(const std::string& text, const std::string& what,
                         const std::string& with) {
  std::string out;
  std::size_t from = 0;
  for (std::size_t at; (at = text.find(what, from)) != std::string::npos; from = at + what.size())
    out.append(text, from, at - from).append(with);
  return out.append(text, from);
}

}  // namespace

Result<std::string> ApplySteps(const std::vector<Step>& steps, std::string text) {
  for (const Step& step : steps) {
    switch (step.kind) {
      case Step::Kind::kStrip:
        text = Strip(text);
        break;
      case Step::Kind::kLower:
        text = Lower(text);
        break;
      case Step::Kind::kReplace:
        text = ReplaceEvery(text, step.text, step.with);
        break;
      case Step::Kind::kRegex: {
        H1_ASSIGN_OR_RETURN(text, step.regex->ReplaceAll(text, step.with));
        break;
      }
      case Step::Kind::kFind: {
        H1_ASSIGN_OR_RETURN(text, ExtractMatch(*step.regex, text, step.last));
        if (text == kInvalid) return text;
        break;
      }
    }
  }
  return text;
}

}  // namespace h1bench::tasks::custom

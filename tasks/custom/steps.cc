#include "tasks/custom/steps.h"

#include "base/text.h"
#include "tasks/custom/template.h"
#include "tasks/scoring/answers.h"
#include "tasks/scoring/text_match.h"

namespace h1bench::tasks::custom {
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
        text = ReplaceAll(text, step.text, step.with);
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

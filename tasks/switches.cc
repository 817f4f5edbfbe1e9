#include "tasks/switches.h"

#include "base/text.h"

namespace h1bench::tasks {

const std::vector<Switch>& Switches() {
  static const std::vector<Switch> kSwitches = {
      {"bos",
       &TaskOptions::bos,
       {"none", "once"},
       "nothing is put in front of the text, or BOS unless the text begins with it",
       true},
      {"log_softmax",
       &TaskOptions::log_softmax,
       {"fp32", "bf16"},
       "log-likelihoods as fp32 logits give them, or rounded to bf16 as lm-eval has them of a bf16 "
       "model, with its ties",
       true},
      {"mmlu_prompt",
       &TaskOptions::mmlu_prompt,
       {"lm-eval", "original"},
       "mmlu: lm-eval's wording, or that of Hendrycks' own script"},
      {"mmlu_average",
       &TaskOptions::mmlu_average,
       {"micro", "macro", "lm-eval"},
       "mmlu: over questions, over subjects, or over questions with lm-eval's pooled error"},
      {"mmlu_anatomy",
       &TaskOptions::mmlu_anatomy,
       {"stem", "other"},
       "mmlu: anatomy's group: stem (lm-eval, OpenCompass) or other (Hendrycks, simple-evals)"},
      {"gsm8k_compare",
       &TaskOptions::gsm8k_compare,
       {"string", "both"},
       "gsm8k, gsm8k_cot: as strings (18.0 is not 18), or as numbers beside it"},
      {"gsm8k_cot_dot",
       &TaskOptions::gsm8k_cot_dot,
       {"any", "dot", "none"},
       "gsm8k_cot: behind the number any character (lm-eval), a dot, or nothing is demanded"},
      {"helmet_recall",
       &TaskOptions::helmet_recall,
       {"files", "native"},
       "helmet: Recall from HELMET's files, or drawn here by rules of the same form"},
  };
  return kSwitches;
}

void ApplySwitches(const TaskOptions& options, Request& request) {
  request.add_bos = options.bos == "once";
  request.bf16_softmax = options.log_softmax == "bf16";
}

std::string SwitchNote(const TaskOptions& options) {
  return (options.system.empty()
              ? ""
              : fmt::format(", system prompt \"{}\"",
                            ReplaceAll(VisibleText(options.system), "\n", "\\n"))) +
         std::string(options.bos == "once" ? ", BOS in front" : "") +
         (options.log_softmax == "bf16" ? ", log-softmax in bf16" : "") +
         (options.fewshot_world_size == 1
              ? ""
              : fmt::format(", shots drawn as on {} ranks", options.fewshot_world_size));
}

}  // namespace h1bench::tasks

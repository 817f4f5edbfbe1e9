// A task file of any bytes is read or refused; one that is read fits together, and what it says
// about texts (templates, steps, normalisation) can be done to any text.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>

#include "base/text.h"
#include "tasks/custom/task_file.h"
#include "tasks/scoring/answers.h"

namespace {

using namespace h1bench;
using namespace h1bench::tasks::custom;

void Demand(bool condition) {
  if (!condition) std::abort();
}

/// With the same text in every field a template is its literal parts around that text, so that an
/// empty one leaves just these.
void CheckTemplate(const Template& text) {
  Json row{Json::Object{}}, filled{Json::Object{}};
  for (const FieldPath& path : text.Fields()) {
    Demand(!path.text().empty() && !path.In(Json(Json::Object{})).has_value());
    row.Set(path.text(), "");
    filled.Set(path.text(), "x");
  }
  const auto empty = text.Render(row), full = text.Render(filled);
  Demand(empty.ok() && full.ok());
  Demand(full->size() == empty->size() + text.Fields().size());
  Demand(empty->size() <= text.source().size());
  const auto again = Template::Parse(text.source());
  Demand(again.ok() && *again->Render(filled) == *full);
  if (!text.Fields().empty()) Demand(!text.Render(Json(Json::Object{})).ok());
}

void CheckSteps(const std::vector<Step>& steps, const std::string& text) {
  const auto once = ApplySteps(steps, text);
  if (!once.ok()) {
    Demand(once.status().code() == StatusCode::kResourceExhausted);
    return;
  }
  const bool only_finds = std::all_of(steps.begin(), steps.end(), [](const Step& step) {
    return step.kind == Step::Kind::kFind || step.kind == Step::Kind::kStrip;
  });
  if (only_finds) Demand(*once == tasks::kInvalid || text.find(*once) != std::string::npos);
}

void CheckFile(const TaskFile& file) {
  Demand(!file.name.empty() && !file.data.name.empty() && file.prompt && file.answer.field);
  Demand(!file.metrics.empty());
  Demand(std::set<std::string>(file.metrics.begin(), file.metrics.end()).size() ==
         file.metrics.size());
  Demand(file.shots.count == 0 || file.shots.data.has_value());
  if (file.multiple_choice) {
    Demand(file.choices.list.has_value() != !file.choices.texts.empty());
    Demand(file.stops.empty() && file.filters.empty() && file.answer_filters.empty());
  } else {
    Demand(!file.choices.list && file.choices.texts.empty() && file.max_new_tokens > 0);
  }
  for (const std::string& stop : file.stops) Demand(!stop.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  const auto file = ParseTaskFile(text, "fuzz.yaml");
  if (!file.ok()) {
    Demand(file.status().message().starts_with("fuzz.yaml:"));
    Demand(file.status().code() == StatusCode::kInvalidArgument);
    return 0;
  }
  CheckFile(*file);
  CheckTemplate(*file->prompt);
  if (file->system) CheckTemplate(*file->system);
  for (const Template& choice : file->choices.texts) CheckTemplate(choice);
  const std::string hostile = text.substr(0, 4096);
  for (const auto* steps : {&file->clean, &file->filters, &file->answer_filters})
    CheckSteps(*steps, hostile);
  const std::string normal = Normalise(hostile, file->ignore);
  Demand(Normalise(hostile, file->ignore) == normal);
  Demand(tasks::WordF1(normal, normal) == 1 && tasks::ExactMatch(normal, normal) == 1);
  return 0;
}

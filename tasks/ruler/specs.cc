#include "tasks/ruler/generator.h"

namespace h1bench::tasks::ruler {

const std::vector<Spec>& Specs() {
  constexpr Haystack kNoise = Haystack::kNoise, kEssay = Haystack::kEssay,
                     kNeedle = Haystack::kNeedle;
  static const std::vector<Spec> kSpecs = {
      {"niah_single_1", Kind::kNiah, 128, kNoise},
      {"niah_single_2", Kind::kNiah, 128, kEssay},
      {"niah_single_3", Kind::kNiah, 128, kEssay, false, true},
      {"niah_multikey_1", Kind::kNiah, 128, kEssay, false, false, 4},
      {"niah_multikey_2", Kind::kNiah, 128, kNeedle},
      {"niah_multikey_3", Kind::kNiah, 128, kNeedle, true, true},
      {"niah_multivalue", Kind::kNiah, 128, kEssay, false, false, 1, 4},
      // upstream raises the number of keys to that of the queries
      {"niah_multiquery", Kind::kNiah, 128, kEssay, false, false, 4, 1, 4},
      {"vt", Kind::kVt, 30},
      {"cwe", Kind::kCwe, 120},
      {"fwe", Kind::kFwe, 50},
      {"qa_1", Kind::kQa, 32},
      {"qa_2", Kind::kQa, 32, kNoise, false, false, 1, 1, 1, true},
  };
  return kSpecs;
}

const Spec* FindSpec(const std::string& name) {
  for (const Spec& spec : Specs()) {
    if (name == spec.name) return &spec;
  }
  return nullptr;
}

}  // namespace h1bench::tasks::ruler

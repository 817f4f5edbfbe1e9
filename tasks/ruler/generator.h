#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tasks/ruler/sources.h"
#include "tasks/task.h"

/// RULER's thirteen synthetic tasks (Hsieh et al., arXiv 2404.06654), drawn as NVIDIA's scripts
/// draw them (github.com/NVIDIA/RULER at c3f5e3b4, base template, seed 42): the same generators,
/// the same draws in the same order, the same search for the size. A sample depends on the
/// tokenizer, because the text is made as long as fits.
namespace h1bench::tasks::ruler {

enum class Kind { kNiah, kVt, kCwe, kFwe, kQa };
enum class Haystack { kNoise, kEssay, kNeedle };
enum class Variant { kNvidia, kLmEval };

/// One of the thirteen tasks (upstream's synthetic.yaml and constants.py).
struct Spec {
  const char* name;
  Kind kind;
  std::int64_t new_tokens;
  // niah
  Haystack haystack = Haystack::kNoise;
  bool uuid_keys = false, uuid_values = false;
  std::size_t keys = 1, values = 1, queries = 1;
  // qa
  bool hotpot = false;
};

/// All thirteen, in the order of upstream's synthetic.yaml.
const std::vector<Spec>& Specs();
/// Null when there is no such task.
const Spec* FindSpec(const std::string& name);

/// The prompt is input + prefix.
struct Sample {
  std::string input, prefix;
  std::vector<std::string> outputs;  // reference answers
  std::int64_t length = 0;           // tokens of the prompt + new tokens
};

struct Job {
  const Spec* spec = nullptr;
  std::int64_t length = 0;   // tokens: prompt and answer fit in them
  std::int64_t samples = 0;  // the first n are the same whatever n is
  Variant variant = Variant::kNvidia;
};

/// The samples of one task at one length. A sample that cannot exist (its parts do not fit, or the
/// sources are too small) is refused, with the reason, where upstream loops for ever or raises.
Result<std::vector<Sample>> Generate(const Job& job, const Sources& sources,
                                     const TokenCounter& count);

}  // namespace h1bench::tasks::ruler

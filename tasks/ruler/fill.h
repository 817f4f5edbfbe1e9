#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tasks/ruler/generator.h"

/// How one task's samples are drawn, and the search for their size that all but fwe share.
namespace h1bench::tasks::ruler {

struct Draw {
  std::string input, prefix;
  std::vector<std::string> outputs;
};

/// Draws of one task. Every call advances the generator, those of the search too: that is part of
/// the protocol.
class Maker {
 public:
  virtual ~Maker() = default;
  /// A draw that only measures; `size` counts what the task repeats (sentences, words, documents).
  virtual Result<Draw> Probe(std::int64_t size) { return Make(size, 0); }
  /// The draw of sample `index`.
  virtual Result<Draw> Make(std::int64_t size, std::int64_t index) = 0;
  /// What lm-eval's search counts of a draw: its text and, differently for each task, the answer.
  virtual std::string LmEvalProbeText(const Draw& draw) { return draw.input + draw.prefix; }
  /// Whether a draw of this size and sample would be the same however often it is repeated.
  virtual bool SameEveryTime(std::int64_t /*size*/, std::int64_t /*index*/) const { return false; }
};

/// The numbers of upstream's search.
struct SizeSearch {
  std::int64_t step = 0;          // lower end, and what an overlong sample gives up
  std::int64_t probe = 0;         // size of the draw that estimates tokens per unit
  bool whole_estimate = false;    // cwe: max // per_unit * 2 instead of max / per_unit * 3
  std::int64_t largest = 0;       // lm-eval stops there (words, documents); 0: nowhere
  bool prefix_counts = true;      // lm-eval's samples: whether the prefix is part of their length
  std::int64_t extra_tokens = 0;  // counted in the search beside the probe's (vt's example)
};

/// Largest size by bisection, then the samples, each made smaller until it fits.
Result<std::vector<Sample>> FillLength(Maker& maker, const Job& job, const SizeSearch& search,
                                       const TokenCounter& count);

Result<std::vector<Sample>> GenerateNiah(const Job&, const Sources&, const TokenCounter&);
Result<std::vector<Sample>> GenerateVt(const Job&, const TokenCounter&);
Result<std::vector<Sample>> GenerateCwe(const Job&, const Sources&, const TokenCounter&);
Result<std::vector<Sample>> GenerateFwe(const Job&, const TokenCounter&);
Result<std::vector<Sample>> GenerateQa(const Job&, const Sources&, const TokenCounter&);

/// "{name}" replaced everywhere in a template, in one pass; other braces stay.
std::string FillIn(std::string_view text,
                   const std::vector<std::pair<std::string_view, std::string_view>>& values);

/// The script's own generator. lm-eval's tasks draw from Python's global one, which it seeds with 0
/// and shares among them: what a task draws there depends on those before it. Here every task is
/// the first.
inline std::uint64_t DrawSeed(Variant variant) { return variant == Variant::kNvidia ? 42 : 0; }
/// Answers as Python prints a list of strings without quotes in them.
std::string PythonList(const std::vector<std::string>& texts);

inline constexpr std::uint64_t kSeed = 42;  // every upstream script's
inline constexpr std::string_view kNoiseText =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

}  // namespace h1bench::tasks::ruler

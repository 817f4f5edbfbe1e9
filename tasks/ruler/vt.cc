#include <algorithm>
#include <set>

#include "base/text.h"
#include "tasks/fewshot/python_random.h"
#include "tasks/ruler/fill.h"
#include "tasks/ruler/numpy_random.h"

namespace h1bench::tasks::ruler {
namespace {

constexpr std::string_view kTemplate =
    "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n"
    "{context}\nQuestion: Find all variables that are assigned the value {query} in the text "
    "above.";
constexpr std::string_view kPrefix =
    " Answer: According to the chain(s) of variable assignment in the text above, {num_v} "
    "variables are assigned the value {query}, they are: ";
constexpr std::size_t kVariables = 5;         // a chain of four hops
constexpr std::string_view kValue = "12345";  // the example's, until it is replaced

class VtMaker final : public Maker {
 public:
  explicit VtMaker(Variant variant)
      : lm_eval_(variant == Variant::kLmEval),
        random_(DrawSeed(variant)),
        numpy_(lm_eval_ ? 1234 : kSeed) {}  // lm-eval seeds NumPy with 1234

  std::string LmEvalProbeText(const Draw& draw) override {
    return draw.input + draw.prefix + " " + PythonList(draw.outputs);
  }

  /// From here on draws are of the question; before, they were of the example.
  void StartQuestions(std::string example) {
    example_ = std::move(example);
    is_example_ = false;
  }

  Result<Draw> Probe(std::int64_t size) override { return Chain(size); }

  Result<Draw> Make(std::int64_t size, std::int64_t) override {
    H1_ASSIGN_OR_RETURN(Draw draw, Chain(size));
    if (!is_example_) draw.input = FreshExample() + (lm_eval_ ? "\n\n" : "\n") + draw.input;
    return draw;
  }

 private:
  std::string Name(std::size_t letters) {
    std::string name;
    for (std::size_t i = 0; i < letters; ++i)
      name += static_cast<char>('A' + static_cast<char>(random_.ChoicesPlace(26)));
    return name;
  }

  std::string Value() { return std::to_string(numpy_.RandInt(10000, 99999)); }

  /// Lines among which the statements go. lm-eval's end with a line feed of their own, and as few
  /// as statements are cut at full stops.
  std::vector<std::string> Noise(std::size_t size) const {
    if (!lm_eval_) return std::vector<std::string>(size, std::string(kNoiseText));
    const std::string line = std::string(kNoiseText) + "\n";
    if (size > kVariables) return std::vector<std::string>(size, line);
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < size; ++i) {
      for (std::size_t start = 0; start <= line.size();) {
        const std::size_t stop = std::min(line.find('.', start), line.size());
        const std::string part = line.substr(start, stop - start);
        parts.push_back(part.find_first_not_of(" \n") == std::string::npos ? part : part + ".");
        start = stop + 1;
      }
    }
    return parts;
  }

  Result<Draw> Chain(std::int64_t size) {
    if (static_cast<std::size_t>(size) < kVariables) {
      return InvalidArgument(
          "vt: its {} statements do not fit with as many lines between them (upstream's script "
          "never "
          "ends here). Use longer lengths, or leave vt out.",
          kVariables);
    }
    const std::size_t letters = is_example_ ? 3 : 5;
    Draw draw;
    for (std::size_t i = 0; i < kVariables; ++i) draw.outputs.push_back(Name(letters));
    // Upstream draws more names when two are equal, and then starts a second, shorter chain whose
    // missing name it reads past the end of the list: it stops there. We draw the chain again.
    while (std::set<std::string>(draw.outputs.begin(), draw.outputs.end()).size() < kVariables) {
      for (std::string& name : draw.outputs) name = Name(letters);
    }
    const std::string value = is_example_ && !lm_eval_ ? std::string(kValue) : Value();
    std::vector<std::string> lines = Noise(static_cast<std::size_t>(size));
    std::vector<std::size_t> places = random_.Sample(lines.size(), kVariables);
    std::sort(places.begin(), places.end());
    for (std::size_t i = 0; i < kVariables; ++i) {
      const std::string statement =
          i == 0 ? fmt::format("VAR {} = {}", draw.outputs[0], value)
                 : fmt::format("VAR {} = VAR {} ", draw.outputs[i], draw.outputs[i - 1]);
      lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(places[i] + i), statement);
    }
    const std::string context =
        ReplaceAll(fmt::format("{}", fmt::join(lines, lm_eval_ ? " " : "\n")), ". \n", ".\n");
    const std::string number = std::to_string(kVariables);
    draw.input = FillIn(kTemplate, {{"context", context}, {"query", value}});
    draw.prefix = FillIn(kPrefix, {{"num_v", number}, {"query", value}});
    if (lm_eval_)
      draw.prefix = ReplaceAll(draw.prefix, "assigned", "assgined");  // as it stands there
    if (lm_eval_ && !is_example_) draw.prefix.pop_back();             // stripped
    return draw;
  }

  /// The example with other names and another value. Names are the last five words; a new one may
  /// be replaced again when it equals a later one.
  std::string FreshExample() {
    std::vector<std::string> names;
    std::size_t end = example_.find_last_not_of(" \n") + 1;
    for (std::size_t i = 0; i < kVariables; ++i) {
      const std::size_t start = example_.find_last_of(" \n", end - 1) + 1;
      names.push_back(example_.substr(start, end - start));
      end = example_.find_last_not_of(" \n", start - 1) + 1;
    }
    std::reverse(names.begin(), names.end());
    std::string text = example_;
    for (const std::string& name : names) text = ReplaceAll(text, name, Name(name.size()));
    return lm_eval_ ? text : ReplaceAll(text, kValue, Value());
  }

  bool lm_eval_, is_example_ = true;
  std::string example_;
  PythonRandom random_;
  NumpyRandom numpy_;
};

}  // namespace

Result<std::vector<Sample>> GenerateVt(const Job& job, const TokenCounter& count) {
  VtMaker maker(job.variant);
  Spec example_spec = *job.spec;
  example_spec.new_tokens = 0;
  SizeSearch search;
  search.step = search.probe = 5;
  // Upstream's fixed budget of the example.
  const auto examples = FillLength(maker, {&example_spec, 500, 1, job.variant}, search, count);
  if (!examples.ok()) return examples.status().WithContext("vt's worked example, 500 tokens");
  const Sample& one = examples->front();
  const std::string example =
      fmt::format("{}{} {}{}", one.input, one.prefix, fmt::join(one.outputs, " "),
                  job.variant == Variant::kLmEval ? "\n\n" : "\n");
  maker.StartQuestions(example);
  search.step = search.probe = job.length < 4096 ? 5 : 10;
  search.extra_tokens = count(example);
  return FillLength(maker, job, search, count);
}

}  // namespace h1bench::tasks::ruler

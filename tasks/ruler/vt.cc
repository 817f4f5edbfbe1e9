#include <algorithm>
#include <set>

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
  /// From here on draws are of the question; before, they were of the example.
  void StartQuestions(std::string example) {
    example_ = std::move(example);
    is_example_ = false;
  }

  Result<Draw> Probe(std::int64_t size) override { return Chain(size); }

  Result<Draw> Make(std::int64_t size, std::int64_t) override {
    H1_ASSIGN_OR_RETURN(Draw draw, Chain(size));
    if (!is_example_) draw.input = FreshExample() + "\n" + draw.input;
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
    const std::string value = is_example_ ? std::string(kValue) : Value();
    std::vector<std::string> lines(static_cast<std::size_t>(size), std::string(kNoiseText));
    std::vector<std::size_t> places = random_.Sample(lines.size(), kVariables);
    std::sort(places.begin(), places.end());
    for (std::size_t i = 0; i < kVariables; ++i) {
      const std::string statement =
          i == 0 ? fmt::format("VAR {} = {}", draw.outputs[0], value)
                 : fmt::format("VAR {} = VAR {} ", draw.outputs[i], draw.outputs[i - 1]);
      lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(places[i] + i), statement);
    }
    const std::string context =
        ReplaceAll(fmt::format("{}", fmt::join(lines, "\n")), ". \n", ".\n");
    const std::string number = std::to_string(kVariables);
    draw.input = FillIn(kTemplate, {{"context", context}, {"query", value}});
    draw.prefix = FillIn(kPrefix, {{"num_v", number}, {"query", value}});
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
    return ReplaceAll(text, kValue, Value());
  }

  bool is_example_ = true;
  std::string example_;
  PythonRandom random_{kSeed};
  NumpyRandom numpy_{kSeed};
};

}  // namespace

Result<std::vector<Sample>> GenerateVt(const Job& job, const TokenCounter& count) {
  VtMaker maker;
  Spec example_spec = *job.spec;
  example_spec.new_tokens = 0;
  SizeSearch search;
  search.step = search.probe = 5;
  // Upstream's fixed budget of the example.
  const auto examples = FillLength(maker, {&example_spec, 500, 1, job.variant}, search, count);
  if (!examples.ok()) return examples.status().WithContext("vt's worked example, 500 tokens");
  const Sample& one = examples->front();
  const std::string example =
      fmt::format("{}{} {}\n", one.input, one.prefix, fmt::join(one.outputs, " "));
  maker.StartQuestions(example);
  search.step = search.probe = job.length < 4096 ? 5 : 10;
  search.extra_tokens = count(example);
  return FillLength(maker, job, search, count);
}

}  // namespace h1bench::tasks::ruler

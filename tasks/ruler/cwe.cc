#include <algorithm>

#include "tasks/fewshot/python_random.h"
#include "tasks/ruler/fill.h"

namespace h1bench::tasks::ruler {
namespace {

constexpr std::string_view kTemplate =
    "Below is a numbered list of words. In these words, some appear more often than others. "
    "Memorize the ones that appear most often.\n{context}\nQuestion: What are the 10 most common "
    "words in the above list?";
constexpr std::string_view kPrefix =
    " Answer: The top 10 words that appear most often in the list are:";
constexpr std::size_t kCommon = 10;

struct Repeats {
  std::size_t common, others;
};

std::string Numbered(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i)
    text += fmt::format("{}{}. {}", i == 0 ? "" : " ", i + 1, words[i]);
  return text;
}

class CweMaker final : public Maker {
 public:
  CweMaker(const Job& job, const Sources& sources)
      : job_(job), sources_(sources), random_(DrawSeed(job.variant)) {
    // lm-eval goes on with the generator that shuffled the word list.
    std::vector<std::string> words(sources.words.size());
    order_.Shuffle(words);
  }

  std::string LmEvalProbeText(const Draw& draw) override {
    return fmt::format("{}\n{}{} {}", example_, draw.input, kPrefix, Numbered(draw.outputs));
  }

  Result<Draw> Make(std::int64_t size, std::int64_t) override {
    const bool small = job_.length < 4096;
    H1_ASSIGN_OR_RETURN(const Draw example,
                        List(small ? 20 : 40, small ? Repeats{3, 1} : Repeats{10, 3}));
    H1_ASSIGN_OR_RETURN(Draw draw, List(size, small ? Repeats{6, 1} : Repeats{30, 3}));
    if (job_.variant == Variant::kLmEval) {  // the example is counted and never shown
      example_ = example.input + std::string(kPrefix) + Numbered(example.outputs);
      return draw;
    }
    draw.input = fmt::format("{}{} {}\n{}", example.input, example.prefix,
                             Numbered(example.outputs), draw.input);
    return draw;
  }

 private:
  Result<Draw> List(std::int64_t size, Repeats repeats) {
    const auto wanted = static_cast<std::size_t>(size);
    const std::vector<std::string>& list =
        wanted <= sources_.words.size() ? sources_.words : sources_.large;
    if (wanted > list.size()) {
      return InvalidArgument(
          "cwe: {} tokens need {} different words; the word lists have {} and the large list {}. "
          "Put RULER's scripts/data/synthetic/json/english_words.json (SHA-256 affcd6d4...) into "
          "longcontext/ruler/ of the data folder, or leave cwe out at this length.",
          job_.length, wanted, sources_.words.size(), sources_.large.size());
    }
    Draw draw;
    std::vector<std::string> words;
    const std::vector<std::size_t> drawn = random_.Sample(list.size(), wanted);
    // A long token count can leave fewer words than are asked for; upstream then asks for those.
    const std::size_t common = std::min(kCommon, wanted);
    for (std::size_t i = 0; i < common; ++i) draw.outputs.push_back(list[drawn[i]]);
    for (std::size_t round = 0; round < repeats.common; ++round)
      words.insert(words.end(), draw.outputs.begin(), draw.outputs.end());
    for (std::size_t round = 0; round < repeats.others; ++round) {
      for (std::size_t i = common; i < wanted; ++i) words.push_back(list[drawn[i]]);
    }
    if (job_.variant == Variant::kNvidia) order_ = PythonRandom(kSeed);
    order_.Shuffle(words);
    draw.input = FillIn(kTemplate, {{"context", Numbered(words)}});
    draw.prefix = job_.variant == Variant::kNvidia
                      ? std::string(kPrefix)
                      : "\n\n" + std::string(kPrefix.substr(1));  // lm-eval joins them so
    return draw;
  }

  const Job& job_;
  const Sources& sources_;
  PythonRandom random_, order_{kSeed};
  std::string example_;
};

}  // namespace

Result<std::vector<Sample>> GenerateCwe(const Job& job, const Sources& sources,
                                        const TokenCounter& count) {
  CweMaker maker(job, sources);
  SizeSearch search;
  search.step = 10;
  search.probe = 4096;
  search.whole_estimate = true;
  search.largest = static_cast<std::int64_t>(sources.words.size());
  return FillLength(maker, job, search, count);
}

}  // namespace h1bench::tasks::ruler

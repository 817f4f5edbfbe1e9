#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "tasks/fewshot/python_random.h"
#include "tasks/ruler/fill.h"

namespace h1bench::tasks::ruler {
namespace {

constexpr std::string_view kTemplate =
    "Some special magic {type} are hidden within the following text. Make sure to memorize it. I "
    "will quiz you about the {type} afterwards.\n{context}\nWhat are all the special magic {type} "
    "for {query} mentioned in the provided text?";
constexpr std::string_view kPrefix =
    " The special magic {type} for {query} mentioned in the provided text are";
constexpr std::size_t kDepths = 40;

class NiahMaker final : public Maker {
 public:
  NiahMaker(const Job& job, const Sources& sources)
      : spec_(*job.spec), sources_(sources), random_(DrawSeed(job.variant)) {}

  std::string LmEvalProbeText(const Draw& draw) override {
    return fmt::format("{}{}", draw.input, fmt::join(draw.outputs, " "));
  }

  Result<Draw> Make(std::int64_t size, std::int64_t) override {
    std::vector<std::string> keys, needles;
    std::vector<std::vector<std::string>> values;
    for (std::size_t k = 0; k < spec_.keys; ++k) {
      keys.push_back(Random(spec_.uuid_keys, true));
      values.emplace_back();
      for (std::size_t v = 0; v < spec_.values; ++v) {
        values.back().push_back(Random(spec_.uuid_values, false));
        needles.push_back(Needle(keys.back(), values.back().back()));
      }
    }
    PythonRandom(kSeed).Shuffle(needles);
    const std::string context = spec_.haystack == Haystack::kEssay
                                    ? EssayContext(static_cast<std::size_t>(size), needles)
                                    : LineContext(static_cast<std::size_t>(size), needles);
    Draw draw;
    std::vector<std::string> queries;
    for (const std::size_t key : random_.Sample(spec_.keys, spec_.queries)) {
      queries.push_back(keys[key]);
      draw.outputs.insert(draw.outputs.end(), values[key].begin(), values[key].end());
    }
    FillTemplates(context, queries, draw);
    return draw;
  }

 private:
  const char* Type() const { return spec_.uuid_values ? "uuids" : "numbers"; }

  std::string Random(bool uuid, bool key) {
    if (uuid) return random_.Uuid4();
    if (key) return sources_.pairs.At(random_.RandBelow(sources_.pairs.size()));
    return std::to_string(random_.RandInt(1'000'000, 9'999'999));
  }

  std::string Needle(const std::string& key, const std::string& value) const {
    return fmt::format("One of the special magic {} for {} is: {}.", Type(), key, value);
  }

  /// Words of the essays, over and over; needles between sentences.
  std::string EssayContext(std::size_t size, const std::vector<std::string>& needles) {
    const Essays& essays = sources_.essays;
    std::vector<std::size_t> ends;  // words before the end of each sentence
    for (std::size_t i = 0; i < size; ++i) {
      if (essays.ends[i % essays.words.size()] || i + 1 == size) ends.push_back(i + 1);
    }
    std::vector<std::size_t> places;  // sentences before each needle
    for (const std::size_t depth : random_.Sample(kDepths, needles.size())) {
      const double percent = std::nearbyint(static_cast<double>(depth) * 100.0 / (kDepths - 1));
      places.push_back(
          static_cast<std::size_t>(static_cast<double>(ends.size()) * (percent / 100.0)));
    }
    std::sort(places.begin(), places.end());
    std::string context;
    std::size_t word = 0;
    for (std::size_t i = 0; i <= needles.size(); ++i) {
      const std::size_t sentences = i < needles.size() ? places[i] : ends.size();
      const std::size_t stop = sentences == 0 ? 0 : ends[sentences - 1];
      if (i > 0) context += ' ';
      for (const std::size_t start = word; word < stop; ++word) {
        if (word > start) context += ' ';
        context += essays.words[word % essays.words.size()];
      }
      if (i < needles.size()) context += ' ' + needles[i];
    }
    return context;
  }

  /// The same sentences, or needles that nobody asks for, one a line.
  std::string LineContext(std::size_t size, const std::vector<std::string>& needles) {
    std::vector<std::string> lines;
    lines.reserve(size + needles.size());
    for (std::size_t i = 0; i < size; ++i) {
      if (spec_.haystack == Haystack::kNoise) {
        lines.emplace_back(kNoiseText);
      } else {
        const std::string key = Random(spec_.uuid_keys, true);
        lines.push_back(Needle(key, Random(spec_.uuid_values, false)));
      }
    }
    std::vector<std::size_t> places = random_.Sample(size, needles.size());
    std::sort(places.rbegin(), places.rend());
    for (std::size_t i = 0; i < places.size(); ++i)
      lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(places[i]), needles[i]);
    return fmt::format("{}", fmt::join(lines, "\n"));
  }

  void FillTemplates(const std::string& context, const std::vector<std::string>& queries,
                     Draw& draw) const {
    std::string query = queries.back();
    if (queries.size() > 1) {
      query = fmt::format("{}, and {}", fmt::join(queries.begin(), queries.end() - 1, ", "),
                          queries.back());
    }
    std::string before(kTemplate), after(kPrefix), type(Type());
    if (spec_.queries * spec_.values == 1) {  // upstream replaces in the template, words and all
      for (std::string* text : {&before, &after}) {
        *text = ReplaceAll(*text, "Some", "A");
        *text = ReplaceAll(*text, "are all", "is");
        *text = ReplaceAll(*text, "are", "is");
      }
      type.pop_back();
    }
    draw.input = FillIn(before, {{"type", type}, {"context", context}, {"query", query}});
    draw.prefix = FillIn(after, {{"type", type}, {"query", query}});
  }

  const Spec& spec_;
  const Sources& sources_;
  PythonRandom random_;
};

}  // namespace

Result<std::vector<Sample>> GenerateNiah(const Job& job, const Sources& sources,
                                         const TokenCounter& count) {
  NiahMaker maker(job, sources);
  SizeSearch search;
  search.step = job.spec->haystack == Haystack::kEssay ? 500 : (job.length < 4096 ? 5 : 25);
  search.probe = search.step;
  search.prefix_counts = job.variant == Variant::kNvidia;
  if (job.spec->haystack == Haystack::kEssay)
    search.largest = static_cast<std::int64_t>(sources.essays.words.size());
  return FillLength(maker, job, search, count);
}

}  // namespace h1bench::tasks::ruler

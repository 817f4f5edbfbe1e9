#include <numeric>

#include "tasks/fewshot/python_random.h"
#include "tasks/ruler/fill.h"

namespace h1bench::tasks::ruler {
namespace {

constexpr std::string_view kTemplate =
    "Answer the question based on the given documents. Only give me the answer and do not output "
    "any other words.\n\nThe following are given documents.\n\n{context}\n\nAnswer the question "
    "based on the given documents. Only give me the answer and do not output any other "
    "words.\n\nQuestion: {query}";
constexpr std::string_view kPrefix = " Answer:";

class QaMaker final : public Maker {
 public:
  QaMaker(const Job& job, const QuestionSet& set)
      : job_(job), set_(set), random_(DrawSeed(job.variant)) {}

  std::string LmEvalProbeText(const Draw& draw) override {
    return draw.input + " " + PythonList(draw.outputs);
  }

  bool SameEveryTime(std::int64_t size, std::int64_t index) const override {
    return static_cast<std::size_t>(size) <=
           set_.questions[static_cast<std::size_t>(index)].gold.size();
  }

  Result<Draw> Make(std::int64_t size, std::int64_t index) override {
    const Question& question = set_.questions[static_cast<std::size_t>(index)];
    const auto wanted = static_cast<std::size_t>(size);
    if (wanted < question.gold.size()) {
      return InvalidArgument(
          "{}: question {} does not fit {} tokens: with its {} documents it is too long, and fewer "
          "cannot be shown (upstream's script never ends here). Leave {} out or use longer "
          "lengths.",
          job_.spec->name, index, job_.length, question.gold.size(), job_.spec->name);
    }
    std::vector<std::size_t> documents;
    if (wanted < set_.documents.size()) {
      documents = Choose(question, wanted);
    } else {  // all of them, over and over
      documents.resize(wanted);
      for (std::size_t i = 0; i < wanted; ++i) documents[i] = i % set_.documents.size();
    }
    PythonRandom(kSeed).Shuffle(documents);
    std::string context;
    for (std::size_t i = 0; i < documents.size(); ++i) {
      if (i > 0) context += "\n\n";
      context += fmt::format("Document {}:\n", i + 1) + set_.documents[documents[i]];
    }
    Draw draw;
    draw.input = FillIn(kTemplate, {{"context", context}, {"query", question.text}});
    draw.prefix = kPrefix;
    draw.outputs = question.answers;
    return draw;
  }

 private:
  /// The question's own, then its article's, then others.
  std::vector<std::size_t> Choose(const Question& question, std::size_t wanted) {
    std::vector<std::size_t> documents = question.gold;
    const std::size_t rest = wanted - documents.size();
    if (rest <= question.more.size()) {
      for (const std::size_t place : random_.Sample(question.more.size(), rest))
        documents.push_back(question.more[place]);
      return documents;
    }
    documents.insert(documents.end(), question.more.begin(), question.more.end());
    std::vector<bool> taken(set_.documents.size(), false);
    for (const std::size_t document : documents) taken[document] = true;
    std::vector<std::size_t> others;
    for (std::size_t i = 0; i < taken.size(); ++i) {
      if (!taken[i]) others.push_back(i);
    }
    for (const std::size_t place : random_.Sample(others.size(), rest - question.more.size()))
      documents.push_back(others[place]);
    return documents;
  }

  const Job& job_;
  const QuestionSet& set_;
  PythonRandom random_;
};

}  // namespace

Result<std::vector<Sample>> GenerateQa(const Job& job, const Sources& sources,
                                       const TokenCounter& count) {
  const QuestionSet& set = job.spec->hotpot ? sources.hotpot : sources.squad;
  if (static_cast<std::int64_t>(set.questions.size()) < job.samples) {
    return InvalidArgument(
        "{}: the file has {} questions that can be answered, {} samples were asked for (a sample a "
        "question). Ask for fewer.",
        job.spec->name, set.questions.size(), job.samples);
  }
  QaMaker maker(job, set);
  SizeSearch search;
  search.step = search.probe = 10;
  search.prefix_counts = job.variant == Variant::kNvidia;
  search.largest = static_cast<std::int64_t>(set.documents.size());
  return FillLength(maker, job, search, count);
}

}  // namespace h1bench::tasks::ruler

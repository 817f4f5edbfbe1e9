#include <algorithm>
#include <cmath>
#include <set>

#include "tasks/fewshot/python_random.h"
#include "tasks/ruler/fill.h"

namespace h1bench::tasks::ruler {
namespace {

constexpr std::string_view kTemplate =
    "Read the following coded text and track the frequency of each coded word. Find the three most "
    "frequently appeared coded words. {context}\nQuestion: Do not provide any explanation. Please "
    "ignore the dots '....'. What are the three most frequently appeared words in the above coded "
    "text?";
constexpr std::string_view kPrefix =
    " Answer: According to the coded text above, the three most frequently appeared words are:";
constexpr std::size_t kLetters = 6;
constexpr double kZeta2 = 1.6449340668482264;  // pi^2 / 6: counts fall with the square of the rank

/// Words by rank, the first being dots that nobody counts.
std::vector<std::string> Vocabulary(PythonRandom& random, std::size_t size) {
  std::set<std::string> words;
  const auto draw = [&] {
    std::string word;
    for (std::size_t i = 0; i < kLetters; ++i)
      word += static_cast<char>('a' + static_cast<char>(random.ChoicesPlace(26)));
    words.insert(std::move(word));
  };
  for (std::size_t i = 0; i < size; ++i) draw();
  while (words.size() < size) draw();
  std::vector<std::string> ranked(words.begin(), words.end());
  PythonRandom(kSeed).Shuffle(ranked);
  ranked[0] = "...";
  return ranked;
}

Draw Text(const std::vector<std::string>& vocabulary, std::int64_t words) {
  std::vector<std::string_view> text;
  for (std::size_t rank = 1; rank <= vocabulary.size(); ++rank) {
    const double share = static_cast<double>(words) * std::pow(static_cast<double>(rank), -2.0);
    text.insert(text.end(), static_cast<std::size_t>(share / kZeta2), vocabulary[rank - 1]);
  }
  PythonRandom(kSeed).Shuffle(text);
  Draw draw;
  draw.input = FillIn(kTemplate, {{"context", fmt::format("{}", fmt::join(text, " "))}});
  draw.prefix = kPrefix;
  draw.outputs.assign(vocabulary.begin() + 1, vocabulary.begin() + 4);
  return draw;
}

}  // namespace

/// Upstream's search goes up in steps, and every sample has words of its own.
Result<std::vector<Sample>> GenerateFwe(const Job& job, const TokenCounter& count) {
  // lm-eval leaves no room for the answer.
  const std::int64_t room =
      job.variant == Variant::kNvidia ? job.length - job.spec->new_tokens : job.length;
  const std::int64_t vocabulary_size = room / 50, step = room / 32;
  if (vocabulary_size < 4)
    return InvalidArgument(
        "fwe: {} tokens are too few for three words and the dots: use 256 or more", job.length);
  PythonRandom random(DrawSeed(job.variant));
  const auto tokens = [&](const Draw& draw) { return count(draw.input + draw.prefix); };
  const auto first = Vocabulary(random, static_cast<std::size_t>(vocabulary_size));
  std::int64_t words = room / static_cast<std::int64_t>(kLetters);
  while (tokens(Text(first, words)) < room) words += step;
  words -= step;
  std::vector<Sample> samples;
  while (static_cast<std::int64_t>(samples.size()) < job.samples) {
    const auto vocabulary = Vocabulary(random, static_cast<std::size_t>(vocabulary_size));
    std::int64_t used = words;
    Draw draw = Text(vocabulary, used);
    std::int64_t length = tokens(draw);
    while (length > room) {
      used -= step;
      if (used <= 0) {
        return InvalidArgument("fwe: sample {} does not exist at {} tokens: use longer lengths",
                               samples.size(), job.length);
      }
      draw = Text(vocabulary, used);
      length = tokens(draw);
    }
    samples.push_back({std::move(draw.input), std::move(draw.prefix), std::move(draw.outputs),
                       length + job.spec->new_tokens});
  }
  return samples;
}

}  // namespace h1bench::tasks::ruler

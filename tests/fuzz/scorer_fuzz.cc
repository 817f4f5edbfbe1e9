// The answer extractors on arbitrary bytes: what a model writes is hostile input. Whatever is
// extracted is a part of the response or the invalid mark, and is found again the same.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <map>
#include <set>
#include <string>

#include "tasks/helmet/scoring.h"
#include "tasks/ruler/scoring.h"
#include "tasks/ruler/sources.h"
#include "tasks/scoring/answers.h"
#include "tasks/scoring/porter.h"
#include "tasks/scoring/ranking.h"
#include "tasks/scoring/rouge.h"
#include "tasks/scoring/text_match.h"

namespace {

void Demand(bool condition) {
  if (!condition) std::abort();
}

/// RULER's: cleaning twice is cleaning once and leaves no control character but line feeds; a text
/// holds itself; the splitter loses nothing but white space.
void FuzzRuler(const std::string& text) {
  using namespace h1bench::tasks::ruler;
  const std::string clean = CleanResponse(text);
  Demand(CleanResponse(clean) == clean);
  for (const char c : clean) Demand(c == '\n' || static_cast<unsigned char>(c) >= 32);
  Demand(CountFound(text, {text, ""}) == 2);
  const Essays essays = SplitEssays(text);
  Demand(essays.words.size() == essays.ends.size());
  std::size_t bytes = 0;
  for (const std::string& word : essays.words) {
    Demand(!word.empty());
    bytes += word.size();
  }
  Demand(bytes <= text.size());
}

/// HELMET's: what is parsed is a stripped part of one line; a ranking has no id twice; a text is
/// its own best summary, and stems do not grow by more than an e.
void FuzzHelmet(const std::string& text) {
  using namespace h1bench::tasks;
  const std::string parsed = helmet::ParseOutput(text, "Answer:");
  Demand(text.find(parsed) != std::string::npos && parsed.find('\n') == std::string::npos);
  Demand(Strip(parsed) == parsed);
  const auto ranking = ParseRanking(text);
  if (ranking.ok()) {
    Demand(std::set<std::string>(ranking->begin(), ranking->end()).size() == ranking->size());
    std::map<std::string, int> relevance;
    int gain = static_cast<int>(std::min<std::size_t>(ranking->size(), 1000));
    for (const std::string& id : *ranking) relevance.emplace(id, std::max(1, gain--));
    const double best = Ndcg(*ranking, relevance, 10);
    Demand(ranking->empty() ? best == 0 : best > 1 - 1e-9 && best < 1 + 1e-9);
  }
  const double itself = RougeL(text, text);
  Demand(itself == 0 || (itself > 1 - 1e-9 && itself < 1 + 1e-9));
  std::string word;
  for (const char c : text.substr(0, 64)) word += static_cast<char>('a' + (c & 15));
  Demand(word.empty() || PorterStem(word).size() <= word.size() + 1);
  const std::string normal = Normalise(text, kIgnoreAsSquad);
  Demand(normal.find_first_of("\n\t!?.,") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace h1bench::tasks;
  const std::string response(reinterpret_cast<const char*>(data), size);
  using Extract = std::string (*)(std::string_view);
  const std::initializer_list<Extract> extracts = {
      Gsm8kStrict, FlexibleExtract, [](std::string_view text) { return Gsm8kCotStrict(text); },
      [](std::string_view text) { return Gsm8kCotStrict(text, CotDot::kDot); },
      [](std::string_view text) { return Gsm8kCotStrict(text, CotDot::kNone); }};
  for (const Extract extract : extracts) {
    const std::string found = extract(response);
    const bool nothing = found == kInvalid || found == kRegexLimit;
    Demand(!found.empty());
    Demand(nothing || response.find(found) != std::string::npos);
    Demand(extract(response) == found);
    Demand(nothing || found.find_first_not_of("-$0123456789.,") == std::string::npos);
    Demand(Gsm8kExactMatch(found, found));
    // Equal texts are equal numbers, where they are numbers at all.
    Demand(Gsm8kSameNumber(found, found) || !Gsm8kSameNumber(found, "0"));
  }
  const std::string stripped = Strip(response);
  Demand(response.find(stripped) != std::string::npos);
  Demand(Strip(stripped) == stripped);
  Demand(Gsm8kExactMatch(response, response));
  FuzzRuler(response);
  FuzzHelmet(response);
  return 0;
}

// The answer extractors on arbitrary bytes: what a model writes is hostile input. Whatever is
// extracted is a part of the response or the invalid mark, and is found again the same.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tasks/ruler/scoring.h"
#include "tasks/ruler/sources.h"
#include "tasks/scoring/answers.h"

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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace h1bench::tasks;
  const std::string response(reinterpret_cast<const char*>(data), size);
  for (const auto extract : {Gsm8kStrict, Gsm8kCotStrict, FlexibleExtract}) {
    const std::string found = extract(response);
    Demand(!found.empty());
    Demand(found == kInvalid || response.find(found) != std::string::npos);
    Demand(extract(response) == found);
    Demand(found == kInvalid || found.find_first_not_of("-$0123456789.,") == std::string::npos);
    Demand(Gsm8kExactMatch(found, found));
  }
  const std::string stripped = Strip(response);
  Demand(response.find(stripped) != std::string::npos);
  Demand(Strip(stripped) == stripped);
  Demand(Gsm8kExactMatch(response, response));
  FuzzRuler(response);
  return 0;
}

// The answer extractors on arbitrary bytes: what a model writes is hostile input. Whatever is
// extracted is a part of the response or the invalid mark, and is found again the same.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tasks/scoring/answers.h"

namespace {

void Demand(bool condition) {
  if (!condition) std::abort();
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
  return 0;
}

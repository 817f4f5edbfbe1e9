// A suite file of any bytes is read or refused; one that is read has what a run needs.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>

#include "harness/suite/suite.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  const auto suite = h1bench::ParseSuite(text, "fuzz.yaml");
  if (!suite.ok()) {
    if (suite.status().message().rfind("fuzz.yaml:", 0) != 0) std::abort();
    return 0;
  }
  if (suite->models.empty() || suite->tasks.empty() || suite->text != text) std::abort();
  std::set<std::string> names;
  for (const auto& task : suite->tasks) {
    if (task.task.empty() || !task.options.is_object() || !names.insert(task.name).second)
      std::abort();
  }
  return 0;
}

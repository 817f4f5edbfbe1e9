// ParseCsv on arbitrary text; the first byte says how many columns. Errors name the file; accepted
// rows have that many fields and are the same after being written (every field quoted) and read
// again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "tasks/data_file.h"

namespace {

void Demand(bool condition) {
  if (!condition) std::abort();
}

std::string Quoted(const std::string& field) {
  std::string out = "\"";
  for (const char c : field) out.append(c == '"' ? 2 : 1, c);
  return out + "\"";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t columns = 1 + data[0] % 8;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto rows = h1bench::tasks::ParseCsv(text, "fuzz", columns);
  if (!rows.ok()) {
    Demand(rows.status().message().starts_with("fuzz:"));
    return 0;
  }
  Demand(!rows->empty());
  std::string written;
  for (const std::vector<std::string>& row : *rows) {
    Demand(row.size() == columns);
    for (std::size_t i = 0; i < columns; ++i) written += (i == 0 ? "" : ",") + Quoted(row[i]);
    written += "\r\n";
  }
  const auto again = h1bench::tasks::ParseCsv(written, "again", columns);
  Demand(again.ok());
  Demand(*again == *rows);
  return 0;
}
